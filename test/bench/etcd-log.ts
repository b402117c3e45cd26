import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEtcdClient } from '@swarmd/etcd';
import type { Log } from '@swarmd/model';
import { openEtcdLog } from '@swarmd/store';
import { pino } from 'pino';

const PORTS = { client: 23_791, peer: 23_792 } as const;

/** Whether there is an etcd to measure. */
export function hasEtcd(): boolean {
  return spawnSync('etcd', ['--version']).status === 0;
}

/** Calls `measure` with a way to open a log, as its leader, on an etcd of one member started for it, as swarmd starts one. */
export async function onEtcd(measure: (open: () => Promise<Log>) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'swarmd-bench-etcd-'));
  const [clientUrl, peerUrl] = [PORTS.client, PORTS.peer].map((port) => `http://127.0.0.1:${port}`) as [string, string];
  const args = ['--data-dir', dir, '--name', 'one', '--initial-cluster', `one=${peerUrl}`, '--logger', 'zap'];
  args.push('--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl, '--log-level', 'fatal');
  args.push('--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl);
  args.push('--max-txn-ops', '10240', '--max-request-bytes', `${16 << 20}`);
  const etcd = spawn('setpriv', ['--pdeathsig', 'KILL', 'etcd', ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  const client = createEtcdClient({ endpoint: `127.0.0.1:${PORTS.client}`, timeoutMs: 20_000 });
  const { signal } = new AbortController();
  try {
    await measure(async () => {
      const log = await openEtcdLog({ client, dataKey: Buffer.alloc(32, 1), logger: pino({ level: 'silent' }) });
      const { term } = await log.barrier(signal);
      await log.claim({ nodeId: 'bench', addr: '127.0.0.1:2377' }, term, signal);
      return log;
    });
  } finally {
    client.close();
    etcd.kill('SIGKILL');
    if (etcd.exitCode === null && etcd.signalCode === null) await once(etcd, 'exit');
    await rm(dir, { recursive: true, force: true });
  }
}
