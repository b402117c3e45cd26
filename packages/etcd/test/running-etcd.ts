import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEtcdClient } from '../src/index.js';

/** Why tests on a real etcd are skipped, or `false`. */
export const withoutEtcd: string | false =
  spawnSync('etcd', ['--version']).status === 0 ? false : 'no etcd is installed';

/** An etcd on loopback that goes with the test. */
export interface RunningEtcd {
  /** Client address: `host:port`. */
  endpoint: string;
  /** Stops it with SIGKILL. */
  kill(): Promise<void>;
  /** Starts it again on its data. Resolves when it answers. */
  start(): Promise<void>;
}

/** Starts an etcd with the given flags besides those for addresses and data. Resolves when it answers. */
export async function runEtcd(
  t: { after: (fn: () => unknown) => void },
  flags: readonly string[] = [],
  scheme: 'http' | 'https' = 'http',
): Promise<RunningEtcd> {
  const dir = await mkdtemp(join(tmpdir(), 'swarmd-etcd-'));
  const [clientPort, peerPort] = await freePorts();
  const peer = `http://127.0.0.1:${peerPort}`;
  const client = `${scheme}://127.0.0.1:${clientPort}`;
  const args = ['--data-dir', join(dir, 'data'), '--name', 'one', '--initial-cluster', `one=${peer}`];
  args.push(
    '--listen-peer-urls',
    peer,
    '--initial-advertise-peer-urls',
    peer,
    '--logger',
    'zap',
    '--log-level',
    'fatal',
  );
  args.push('--listen-client-urls', client, '--advertise-client-urls', client, ...flags);
  let running: ChildProcess | undefined;
  const kill = async (): Promise<void> => {
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    running.kill('SIGKILL');
    await once(running, 'exit');
  };
  const start = async (): Promise<void> => {
    running = spawn('setpriv', ['--pdeathsig', 'KILL', 'etcd', ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
    if (scheme === 'http') await answers(`127.0.0.1:${clientPort}`);
  };
  t.after(async () => {
    await kill();
    await rm(dir, { recursive: true, force: true });
  });
  await start();
  return { endpoint: `127.0.0.1:${clientPort}`, kill, start };
}

async function answers(endpoint: string): Promise<void> {
  const client = createEtcdClient({ endpoint, timeoutMs: 20_000 });
  await client.range({ key: Buffer.from('/') }).finally(() => client.close());
}

/** Two ports that nothing listens on, of those that the system gives to nobody by itself. */
async function freePorts(): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < 2) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (free) await new Promise((resolve) => server.close(resolve));
    if (free && !ports.includes(port)) ports.push(port);
  }
  return ports;
}
