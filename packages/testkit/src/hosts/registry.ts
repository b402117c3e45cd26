import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { run, searchPath, tryRun } from './command.js';
import { callEngine } from './engine-api.js';
import { type EngineAddress, socketOf, splitName } from './images/tar.js';
import type { Lab } from './lab.js';
import { registryPort } from './network.js';
import { identify, killAndWait, until } from './processes.js';

/** How a registry is started. */
export interface RegistryOptions {
  /** Passwords by user name; without any everybody may push and pull. */
  users?: Readonly<Record<string, string>>;
  /** 5000 unless told; what the engines of a lab with `mirror` ask for is 5000. */
  port?: number;
  signal?: AbortSignal;
}

/** A running registry on a lab's network. */
export interface Registry {
  /** `IP:PORT`, the first part of an image's name. */
  readonly address: string;
  readonly users: Readonly<Record<string, string>>;
  /** Ends it; its images stay with the lab. */
  stop(): Promise<void>;
}

const startTimeoutMs = 20_000;

/**
 * Starts Debian's docker-registry on the lab's hub, where it outlives every host. All engines of a lab may talk to it
 * without TLS; those of a lab with `mirror: true` ask it first for what is named without a registry, such as
 * `nginx:alpine`. Engines send no password to a mirror: a registry with users is for names with its address.
 */
export async function startRegistry(lab: Lab, options: RegistryOptions = {}): Promise<Registry> {
  const port = options.port ?? registryPort;
  const users = options.users ?? {};
  const address = `${lab.clientAddress}:${port}`;
  const directory = join(lab.directory, `registry-${port}`);
  mkdirSync(join(directory, 'data'), { recursive: true });
  const passwords = await Promise.all(Object.entries(users).map(([name, password]) => hashPassword(name, password)));
  writeFileSync(join(directory, 'htpasswd'), passwords.join(''));
  const config = {
    version: 0.1,
    log: { level: 'warn', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(directory, 'data') }, delete: { enabled: true } },
    http: { addr: address },
    ...(passwords.length > 0 ? { auth: { htpasswd: { realm: 'test', path: join(directory, 'htpasswd') } } } : {}),
  };
  // JSON is YAML too.
  writeFileSync(join(directory, 'config.yml'), JSON.stringify(config));
  const log = openSync(join(directory, 'registry.log'), 'a');
  const tiedToOwner = lab.state.keep ? [] : ['setpriv', '--pdeathsig', 'KILL', '--'];
  const argv = [...tiedToOwner, 'nsenter', `--net=/run/netns/${lab.state.hubNamespace}`, '--'];
  const program = ['docker-registry', 'serve', join(directory, 'config.yml')];
  const env = { ...process.env, PATH: searchPath() };
  const [file = '', ...args] = [...argv, ...program];
  const child = spawn(file, args, { env, detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  child.on('error', () => {});
  child.unref();
  const identity = child.pid === undefined ? null : identify(child.pid);
  await until(
    async () => {
      if (child.exitCode !== null || identity === null) {
        const said = await tryRun(['tail', '-n', '5', join(directory, 'registry.log')]);
        throw new SwarmdError('unavailable', `docker-registry did not start: ${said.stdout.trim()}`);
      }
      return (await lab.client(['bash', '-c', `</dev/tcp/${lab.clientAddress}/${port}`])).code === 0;
    },
    {
      timeoutMs: startTimeoutMs,
      what: `the registry at ${address}`,
      ...(options.signal ? { signal: options.signal } : {}),
    },
  );
  const stop = async () => {
    if (identity) await killAndWait(identity);
  };
  return { address, users, stop };
}

/** Which image is pushed, and as whom. */
export interface PushOptions {
  /** One of the registry's users; the first by default. */
  user?: string;
  /** Removes the image from the engine afterwards, so that it has to be pulled. */
  remove?: boolean;
}

/**
 * Pushes an engine's image `name` (`nginx:alpine`) to the registry, where a mirror looks for it (`library/nginx`);
 * resolves with its digest, `sha256:…`.
 */
export async function pushImage(
  engine: EngineAddress,
  registry: Registry,
  name: string,
  options: PushOptions = {},
): Promise<string> {
  const socket = socketOf(engine);
  const { repository, tag } = splitName(name);
  const path = repository.includes('/') ? repository : `library/${repository}`;
  const target = `${registry.address}/${path}`;
  const tagging = new URLSearchParams({ repo: target, tag });
  await callEngine(socket, { method: 'POST', path: `/images/${name}/tag?${tagging}` });
  const user = options.user ?? Object.keys(registry.users)[0];
  const credentials = user === undefined ? {} : { username: user, password: registry.users[user] };
  const answer = await callEngine(socket, {
    method: 'POST',
    path: `/images/${target}/push?${new URLSearchParams({ tag })}`,
    headers: { 'x-registry-auth': urlSafeBase64(JSON.stringify(credentials)) },
    timeoutMs: 300_000,
  });
  const digest = /"Digest":"(sha256:[0-9a-f]{64})"/.exec(answer)?.[1];
  if (!digest)
    throw new SwarmdError('unavailable', `the engine did not say the digest of ${name}: ${answer.slice(-500)}`);
  await callEngine(socket, { method: 'DELETE', path: `/images/${target}:${tag}` });
  if (options.remove) await callEngine(socket, { method: 'DELETE', path: `/images/${name}?force=1` });
  return digest;
}

/** With padding, unlike Node's base64url: engines silently take what they cannot decode for no password. */
function urlSafeBase64(text: string): string {
  return Buffer.from(text).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

/** A line of an htpasswd file; the registry takes bcrypt alone. */
function hashPassword(name: string, password: string): Promise<string> {
  return run(['htpasswd', '-n', '-i', '-B', name], { input: password }).then((line) => `${line.trim()}\n`);
}
