import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BenchLine } from './main.js';

/** What a store holds while it is asked. */
interface Filling {
  name: string;
  nodes: number;
  services: number;
  replicas: number;
}

const FILLINGS: readonly Filling[] = [
  { name: 'idle', nodes: 3, services: 10, replicas: 3 },
  { name: 'full', nodes: 1_000, services: 1_000, replicas: 100 },
];

interface Call {
  name: string;
  method: 'GET' | 'POST';
  path: string;
  body?: (round: number) => object;
}

const filters = (value: object): string => `filters=${encodeURIComponent(JSON.stringify(value))}`;

const CALLS: readonly Call[] = [
  { name: 'services', method: 'GET', path: '/services' },
  { name: 'services-status', method: 'GET', path: '/services?status=true' },
  { name: 'service', method: 'GET', path: '/services/service-7' },
  { name: 'tasks-of-service', method: 'GET', path: `/tasks?${filters({ service: ['service-7'] })}` },
  {
    name: 'tasks-up-to-date',
    method: 'GET',
    path: `/tasks?${filters({ service: ['service-7'], '_up-to-date': ['true'] })}`,
  },
  { name: 'tasks-of-node', method: 'GET', path: `/tasks?${filters({ node: ['node-2'] })}` },
  { name: 'nodes', method: 'GET', path: '/nodes' },
  {
    name: 'service-create',
    method: 'POST',
    path: '/services/create',
    body: (round) => ({
      Name: `new-${round}`,
      TaskTemplate: { ContainerSpec: { Image: 'busybox:latest', Env: ['A=1'] } },
      Mode: { Replicated: { Replicas: 0 } },
    }),
  },
];

const WARM_UP_CALLS = 10;
const MAX_CALLS = 300;
const MAX_SECONDS = 4;

/**
 * Latency of the API over its socket, one call at a time on one connection, with the real control on a store in memory:
 * idle (3 nodes, 30 tasks) and full (1,000 nodes, 100,000 tasks in 1,000 services). Emits `api/<idle|full>/<call>/p50` and
 * `/p99` in ms, to the end of the answer. Arguments choose fillings by name.
 */
export async function run(emit: (line: BenchLine) => void, args: readonly string[]): Promise<void> {
  for (const filling of FILLINGS.filter(({ name }) => args.length === 0 || args.includes(name))) {
    const folder = mkdtempSync(join(tmpdir(), 'bench-api-'));
    const server = startServer(join(folder, 's.sock'), filling);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    try {
      await isReady(server);
      for (const call of CALLS) {
        const times = await measure(join(folder, 's.sock'), agent, call);
        const name = `api/${filling.name}/${call.name}`;
        emit({ name: `${name}/p50`, value: quantile(times, 0.5), unit: 'ms' });
        emit({ name: `${name}/p99`, value: quantile(times, 0.99), unit: 'ms' });
      }
    } finally {
      agent.destroy();
      server.stdin?.end();
      if (server.exitCode === null) await once(server, 'exit');
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

function startServer(socket: string, { nodes, services, replicas }: Filling): ChildProcess {
  const program = fileURLToPath(new URL('./api-server.js', import.meta.url));
  return spawn(process.execPath, [program, socket, ...[nodes, services, replicas].map(String)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

async function isReady(server: ChildProcess): Promise<void> {
  const ended = once(server, 'exit').then(([code]) => {
    throw new Error(`the API's program ended with ${String(code)}`);
  });
  await Promise.race([once(server.stdout!, 'data'), ended]);
  ended.catch(() => {});
}

/** Milliseconds of each call, shortest first. */
async function measure(socketPath: string, agent: Agent, call: Call): Promise<number[]> {
  let round = 0;
  for (let i = 0; i < WARM_UP_CALLS; i++) await send(socketPath, agent, call, round++);
  const times: number[] = [];
  const ends = performance.now() + MAX_SECONDS * 1_000;
  while (times.length < MAX_CALLS && performance.now() < ends) {
    const started = performance.now();
    await send(socketPath, agent, call, round++);
    times.push(performance.now() - started);
  }
  return times.sort((a, b) => a - b);
}

function send(socketPath: string, agent: Agent, call: Call, round: number): Promise<void> {
  const { method, path } = call;
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const outgoing = request({ socketPath, agent, method, path, headers }, (response) => {
      const status = response.statusCode ?? 0;
      response.resume();
      response.on('error', reject);
      response.on('end', () => (status < 300 ? resolve() : reject(new Error(`${method} ${path}: ${status}`))));
    });
    outgoing.on('error', reject);
    outgoing.end(call.body === undefined ? undefined : JSON.stringify(call.body(round)));
  });
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}
