#!/usr/bin/env node
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { SwarmdError } from '@swarmd/model';
import { removeStaleLabs } from './cleanup.js';
import { importApiImage } from './images/api.js';
import { importBusyboxImage } from './images/busybox.js';
import { importNginxImage } from './images/nginx.js';
import { importPostgresImage } from './images/postgres.js';
import type { EngineAddress } from './images/tar.js';
import { attachLab, createLab, type Lab } from './lab.js';
import { type EngineVersion, labNames, loadLab } from './state.js';

const usage = `Hosts with Docker engines of their own on this machine.
  up [--name LAB] [--hosts N] [--uplink] [--mirror] [--engine 20.10|26.1|28.5]   make them; they stay until down
  down [--name LAB]                            remove them and all they made
  ls [--json]                                  the hosts of every lab
  exec [--name LAB] [--detach --log FILE] HOST -- COMMAND …   run a command on a host
  kill|start|disconnect|reconnect [--name LAB] HOST           power and cable of a host
  load [--name LAB] busybox|nginx|postgres|myapi …            give every engine an image made here
LAB is "swarmd" unless told.`;

const images: Readonly<Record<string, (engine: EngineAddress) => Promise<string>>> = {
  busybox: importBusyboxImage,
  nginx: importNginxImage,
  postgres: importPostgresImage,
  myapi: importApiImage,
};

const options = {
  name: { type: 'string', default: 'swarmd' },
  hosts: { type: 'string', default: '3' },
  engine: { type: 'string' },
  uplink: { type: 'boolean', default: false },
  mirror: { type: 'boolean', default: false },
  detach: { type: 'boolean', short: 'd', default: false },
  log: { type: 'string', default: '/dev/null' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

type Values = ReturnType<typeof parse>['values'];

function parse(argv: readonly string[]) {
  return parseArgs({ args: [...argv], options, allowPositionals: true });
}

/** Runs one command line; resolves with the exit code. */
async function main(argv: readonly string[]): Promise<number> {
  const dashes = argv.indexOf('--');
  const { values, positionals } = parse(dashes < 0 ? argv : argv.slice(0, dashes));
  const [command = 'help', ...rest] = positionals;
  const program = dashes < 0 ? rest.slice(1) : argv.slice(dashes + 1);
  if (values.help || command === 'help') {
    console.log(usage);
    return values.help ? 0 : 2;
  }
  switch (command) {
    case 'up':
      return up(values);
    case 'down':
      return down(values);
    case 'ls':
      return list(values);
    case 'exec':
      return execute(values, rest[0] ?? '', program);
    case 'kill':
    case 'start':
    case 'disconnect':
    case 'reconnect':
      await attachLab(values.name)
        .host(rest[0] ?? '')
        [command]();
      return 0;
    case 'load':
      return load(values, rest);
    default:
      console.error(`unknown command: ${command}\n${usage}`);
      return 2;
  }
}

async function up(values: Values): Promise<number> {
  const stopping = new AbortController();
  process.once('SIGINT', () => stopping.abort(new SwarmdError('aborted', 'interrupted')));
  process.once('SIGTERM', () => stopping.abort(new SwarmdError('aborted', 'terminated')));
  const lab = await createLab({
    ...{ name: values.name, hosts: Number(values.hosts), uplink: values.uplink, mirror: values.mirror, keep: true },
    ...(values.engine ? { engineVersion: values.engine as EngineVersion } : {}),
    signal: stopping.signal,
  });
  print(lab);
  return 0;
}

async function down(values: Values): Promise<number> {
  await removeStaleLabs();
  if (loadLab(values.name)) await attachLab(values.name).destroy();
  return 0;
}

function list(values: Values): number {
  const labs = labNames().filter((name) => loadLab(name) !== null);
  if (values.json) console.log(JSON.stringify(labs.map((name) => describe(attachLab(name)))));
  else for (const name of labs) print(attachLab(name));
  return 0;
}

async function execute(values: Values, name: string, program: readonly string[]): Promise<number> {
  const host = attachLab(values.name).host(name);
  if (program.length === 0) throw new SwarmdError('invalid-argument', 'exec: no command');
  if (values.detach) {
    await host.launch(program, values.log);
    return 0;
  }
  const child = host.spawn(program, { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  // A terminal sends it to the command as well, being of the same group.
  process.on('SIGINT', () => {});
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

async function load(values: Values, names: readonly string[]): Promise<number> {
  const lab = attachLab(values.name);
  for (const name of names) {
    const give = images[name];
    if (!give) throw new SwarmdError('invalid-argument', `no image ${name}: ${Object.keys(images).join(', ')}`);
    // One after the other: the first makes the image and the others find it made.
    for (const host of lab.hosts) await give(host);
  }
  return 0;
}

function describe(lab: Lab) {
  const hosts = lab.hosts.map((host) => ({
    ...{ name: host.name, ip: host.ip, running: host.running, engineSocket: host.engineSocket },
    swarmdSocket: host.path('/run/swarmd/swarmd.sock'),
    directory: host.state.directory,
  }));
  return { name: lab.name, directory: lab.directory, hosts };
}

function print(lab: Lab): void {
  for (const host of lab.hosts) {
    console.log([lab.name, host.name, host.ip, host.running ? 'up' : 'off', host.engineSocket].join('\t'));
  }
}

main(process.argv.slice(2)).then(
  async (code) => {
    process.exitCode = code;
    // Handles of what stays running must not keep this process.
    await delay(0);
    process.exit();
  },
  (error: Error) => {
    console.error(error.message);
    process.exit(1);
  },
);
