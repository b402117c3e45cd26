import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import type { Host } from '../hosts/host.js';
import { attachLab, createLab, type Lab, whyNoHosts } from '../hosts/lab.js';
import { until } from '../hosts/processes.js';
import { loadLab } from '../hosts/state.js';
import { exampleImage, hasImage, makeImage, pullImage } from './images.js';
import { defaultLabName, exampleStackName, swarmdProgram } from './places.js';
import type { Screen, Tell } from './screen.js';
import { deployExample, followExample, nodesRunning, untilPageAnswers, type WaitingService } from './stack.js';
import { summaryOfHosts } from './summary.js';
import { answers, callSwarmd, swarmctl, swarmInfo, untilSwarmdAnswers } from './swarmd.js';

const apiSocket = '/run/swarmd/swarmd.sock';
const readyTimeoutMs = 60_000;

/** What the quickstart is asked for with `--hosts`. */
export interface HostsOptions {
  name: string;
  hosts: number;
  webPort: number;
}

/** Brings up a cluster of hosts on this machine with the example stack, or finds it and deploys the stack again. */
export async function startHosts(screen: Screen, options: HostsOptions): Promise<void> {
  let lab!: Lab;
  await screen.step(`${options.hosts} hosts on this machine`, async (tell) => {
    lab = await makeOrFindLab(options, tell);
    return lab.hosts.map((host) => `${host.name} ${host.ip}`).join(', ');
  });
  const [manager, ...workers] = lab.hosts;
  const socket = manager!.path(apiSocket);

  let registry = false;
  await screen.step('Image of the example', async (tell) => {
    registry = await giveImage(lab, tell);
    return `${exampleImage} on every host`;
  });

  await screen.step('swarmd on each host', async () => {
    await Promise.all(lab.hosts.map((host) => ensureSwarmd(lab, host)));
    return `logs are in ${logDirectory(lab)}`;
  });

  await screen.step('Cluster', async (tell) => {
    await formCluster(manager!, workers, tell);
    return `${manager!.name} manages, ${workers.map(({ name }) => name).join(' and ') || 'nobody'} joined`;
  });

  await screen.step('Example stack', async (tell) => {
    await deployExample(socket, { webPort: options.webPort, registry }, tell);
    return 'deployed from deploy/examples/quickstart.yml';
  });

  let waiting: WaitingService[] = [];
  await screen.step('Its services', async (tell) => {
    waiting = await followExample(socket, tell);
    return waiting.length === 0 ? 'all run' : `all run but ${waiting.length}, explained below`;
  });

  let urls: string[] = [];
  let page = '';
  await screen.step('Its page', async () => {
    urls = await pageAddresses(lab, socket, options.webPort);
    for (const url of urls) page = await untilPageAnswers(url);
    return `answers on ${urls.join(' and ')}`;
  });
  const nameFlag = lab.name === defaultLabName ? '' : ` --name ${lab.name}`;
  screen.say(await summaryOfHosts({ socket, urls, page, waiting, hosts: lab.hosts, nameFlag }));
}

/** Switches a host off as a power cut does, or on again with its swarmd. */
export async function switchHost(screen: Screen, labName: string, name: string, on: boolean): Promise<void> {
  const lab = attachLab(labName);
  const host = lab.host(name);
  await screen.step(`${name}: power ${on ? 'on' : 'off'}`, async () => {
    if (!on) {
      await host.kill();
      return 'every process of it is gone';
    }
    await host.start();
    await ensureSwarmd(lab, host);
    return 'its engine and its swarmd answer';
  });
}

async function makeOrFindLab(options: HostsOptions, tell: Tell): Promise<Lab> {
  const why = whyNoHosts();
  if (why) throw new SwarmdError('failed-precondition', why);
  const state = loadLab(options.name);
  if (state === null) return createQuickstartLab(options);
  const lab = attachLab(options.name);
  if (!lab.hosts.some((host) => host.running) && lab.hosts.every((host) => host.ip === '')) {
    // Cut short before it had an address.
    await lab.destroy();
    return createQuickstartLab(options);
  }
  if (lab.hosts.length !== options.hosts) {
    throw new SwarmdError(
      'failed-precondition',
      `there are ${lab.hosts.length} hosts from an earlier run. Remove them first: npm run quickstart -- --stop`,
    );
  }
  tell('found them from an earlier run');
  await Promise.all(lab.hosts.map((host) => host.start()));
  return lab;
}

/** Makes the lab; one that is interrupted is taken down before the quickstart ends. */
async function createQuickstartLab({ name, hosts }: HostsOptions): Promise<Lab> {
  const named = Array.from({ length: hosts }, (_, index) => ({ name: `host-${index + 1}` }));
  const interrupt = new AbortController();
  const stop = (): void => interrupt.abort(new SwarmdError('aborted', 'interrupted'));
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.once(signal, stop);
  try {
    return await createLab({ name, hosts: named, uplink: true, keep: true, signal: interrupt.signal });
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
}

/** Gives every host the example's image; resolves with true when a registry answers. */
async function giveImage(lab: Lab, tell: Tell): Promise<boolean> {
  const engines = lab.hosts.map(({ engineSocket }) => engineSocket);
  const marker = join(lab.directory, 'image-was-made');
  const have = await Promise.all(engines.map((engine) => hasImage(engine)));
  if (have.every(Boolean)) return !existsSync(marker);
  tell(`pulling ${exampleImage}`);
  if (await pullImage(engines[0]!)) {
    const pulled = await Promise.all(engines.slice(1).map((engine) => pullImage(engine)));
    if (pulled.every(Boolean)) return true;
  }
  tell('no registry answers: making the image from what is on this machine');
  writeFileSync(marker, '');
  // With a name server out of reach every look-up would hang for seconds; this one fails at once.
  for (const host of lab.hosts) writeFileSync(join(host.state.directory, 'resolv.conf'), 'nameserver 127.0.0.1\n');
  // One after the other: the first makes the image and the others find it made.
  for (const engine of engines) await makeImage(engine, tell);
  return false;
}

async function ensureSwarmd(lab: Lab, host: Host): Promise<void> {
  const socket = host.path(apiSocket);
  if (await answers(socket)) return;
  mkdirSync(logDirectory(lab), { recursive: true });
  const logFile = join(logDirectory(lab), `${host.name}.log`);
  closeSync(openSync(logFile, 'a', 0o600));
  await host.launch([swarmdProgram], logFile);
  await untilSwarmdAnswers(socket, logFile, () => host.running);
}

async function formCluster(manager: Host, workers: readonly Host[], tell: Tell): Promise<void> {
  const socket = manager.path(apiSocket);
  if ((await swarmInfo(socket)).LocalNodeState !== 'active') {
    await swarmctl(socket, ['init', '--advertise-addr', manager.ip]);
    tell(`${manager.name}: swarmctl init --advertise-addr ${manager.ip}`);
  }
  const token = (await swarmctl(socket, ['join-token', '-q', 'worker'])).trim();
  await Promise.all(
    workers.map(async (host) => {
      const own = host.path(apiSocket);
      if ((await swarmInfo(own)).LocalNodeState === 'active') return;
      await swarmctl(own, ['join', '--token', token, '--advertise-addr', host.ip, `${manager.ip}:2377`]);
      tell(`${host.name}: swarmctl join --token SWMTKN-… ${manager.ip}:2377`);
    }),
  );
  const wanted = workers.length + 1;
  await until(async () => (await readyNodes(socket)).length >= wanted, {
    ...{ timeoutMs: readyTimeoutMs, intervalMs: 200, what: `${wanted} nodes to be ready (npx swarmctl node ls)` },
  });
}

interface NodeView {
  ID: string;
  Description: { Hostname: string };
  Status: { State: string };
}

async function readyNodes(socket: string): Promise<NodeView[]> {
  return (await callSwarmd<NodeView[]>(socket, '/nodes')).filter(({ Status }) => Status.State === 'ready');
}

async function pageAddresses(lab: Lab, socket: string, port: number): Promise<string[]> {
  const nodes = await readyNodes(socket);
  const running = await nodesRunning(socket, 'web');
  const names = nodes.filter(({ ID }) => running.includes(ID)).map(({ Description }) => Description.Hostname);
  if (names.length === 0) throw new SwarmdError('unavailable', `no node runs ${exampleStackName}_web`);
  return names.sort().map((name) => `http://${lab.host(name).ip}:${port}`);
}

function logDirectory(lab: Lab): string {
  return join(lab.directory, 'logs');
}
