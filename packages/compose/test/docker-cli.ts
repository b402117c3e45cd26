import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The oracle's version: older CLIs read fewer keys. */
const ORACLE_VERSION = /^28\./;

/** Why the docker CLI cannot serve as oracle here, or undefined when it can. */
export async function oracleMissing(): Promise<string | undefined> {
  try {
    const { stdout } = await run('docker', ['--version']);
    const version = /version ([^ ,]+)/.exec(stdout)?.[1] ?? 'none';
    return ORACLE_VERSION.test(version) ? undefined : `needs docker CLI 28 on PATH, found ${version}`;
  } catch {
    return 'needs docker CLI 28 on PATH, found none';
  }
}

/** One request body that `docker stack deploy` sent. */
export interface Sent {
  url: string;
  body: Record<string, unknown>;
}

/**
 * Runs `docker stack deploy` on files in `directory` against a recorder that answers like an empty swarm, and returns
 * what it would have created. The CLI is the real one; only the engine behind it is not.
 */
export async function recordStackDeploy(
  directory: string,
  files: readonly string[],
  namespace: string,
  env: Record<string, string> = {},
): Promise<Sent[]> {
  const home = await mkdtemp(join(tmpdir(), 'compose-oracle-'));
  const sent: Sent[] = [];
  const server = createServer((request, response) => void answer(request, response, sent));
  const socket = join(home, 'engine.sock');
  try {
    await listen(server, socket);
    const flags = files.flatMap((file) => ['-c', file]);
    const deploy = ['stack', 'deploy', '--detach=true', '--resolve-image=never', ...flags, namespace];
    await run('docker', ['--config', home, '-H', `unix://${socket}`, ...deploy], {
      cwd: directory,
      env: { PATH: process.env['PATH'], HOME: '/home/someone', ...env },
    });
    return sent;
  } finally {
    server.closeAllConnections();
    server.close();
    await rm(home, { recursive: true, force: true });
  }
}

function listen(server: Server, socket: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(socket, resolve);
  });
}

async function answer(request: IncomingMessage, response: ServerResponse, sent: Sent[]): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString('utf8');
  const url = new URL(request.url ?? '/', 'http://engine');
  const path = url.pathname.replace(/^\/v[0-9.]+/, '');
  const reply = (status: number, value: unknown) => {
    response.writeHead(status, { 'content-type': 'application/json', 'api-version': '1.50', ostype: 'linux' });
    response.end(value === undefined ? '' : JSON.stringify(value));
  };
  if (path === '/_ping') return reply(200, undefined);
  if (request.method === 'POST') {
    sent.push({ url: path, body: JSON.parse(body) as Record<string, unknown> });
    return reply(201, { ID: `id${sent.length}`, Id: `id${sent.length}` });
  }
  if (path === '/info') return reply(200, { Swarm: { LocalNodeState: 'active', ControlAvailable: true } });
  const object = /^\/(secrets|configs)\/(.+)$/.exec(path);
  if (object !== null) return reply(404, { message: `${object[2]} not found` });
  const listed = /^\/(secrets|configs)$/.exec(path);
  if (listed !== null) return reply(200, named(url.searchParams.get('filters') ?? '{}'));
  const network = /^\/networks\/(.+)$/.exec(path);
  if (network !== null) return reply(200, { Name: network[1], Id: network[1], Scope: 'swarm', Driver: 'overlay' });
  return reply(200, []);
}

/** Whatever names are asked for exist, so that external secrets and configs resolve; each name is its own ID. */
function named(filters: string): unknown[] {
  const names = (JSON.parse(filters) as { name?: Record<string, boolean> }).name ?? {};
  return Object.keys(names).map((Name) => ({ ID: Name, Spec: { Name } }));
}
