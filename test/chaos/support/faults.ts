import { callEngine, type Host } from '@swarmd/testkit';
import { swarmdEntry } from '../../e2e/support/cluster.js';
import type { PlannedFault } from './schedule.js';
import { type Place, type World, waitUntilAnswers } from './world.js';

/** Takes a fault back; what it hurt may still need a while. */
export type Undo = () => Promise<void>;

const nothing: Undo = async () => {};

/** Begins a fault. Rejects when the test's own means fail, never for what swarmd makes of it. */
export async function beginFault(world: World, fault: PlannedFault): Promise<Undo> {
  const place = world.place(fault.host);
  const { host, keeper } = place;
  switch (fault.kind) {
    case 'kill-swarmd':
      await keeper.drop();
      return async () => keeper.keep();
    case 'stop-swarmd':
      keeper.signal('SIGSTOP');
      return async () => keeper.signal('SIGCONT');
    case 'kill-etcd':
      await signalEtcd(host, 'KILL');
      return nothing;
    case 'stop-etcd':
      await signalEtcd(host, 'STOP');
      return () => signalEtcd(host, 'CONT');
    case 'cut':
      await host.disconnect();
      return () => host.reconnect();
    case 'cut-pair':
    case 'cut-managers':
    case 'cut-agents':
      return cut(
        world,
        fault.peers.flatMap((peer) => [
          [fault.host, peer],
          [peer, fault.host],
        ]),
      );
    case 'cut-one-way':
      return cut(
        world,
        fault.peers.map((peer) => [fault.host, peer]),
      );
    case 'disk-full':
      return fillDisk(host);
    case 'disk-stalls':
      await host.stallDataDisk();
      return () => host.resumeDataDisk();
    case 'disk-slow':
      return slowSyncs(host, fault.amount);
    case 'clock':
      keeper.setClock(fault.amount);
      return async () => keeper.setClock(0);
    case 'power':
      return failPower(place);
    case 'kill-container':
      await killContainer(host);
      return nothing;
  }
}

/** Waits until every host is on and its swarmd answers. To be called when every fault was taken back. */
export async function waitUntilHealed(world: World): Promise<void> {
  await Promise.all(world.places.map((place) => waitUntilAnswers(place)));
}

/** Nothing where no etcd runs. */
async function signalEtcd(host: Host, signal: 'KILL' | 'STOP' | 'CONT'): Promise<void> {
  await host.exec(['pkill', `-${signal}`, '-x', 'etcd']);
}

async function cut(world: World, ways: readonly (readonly [from: string, to: string])[]): Promise<Undo> {
  const change = async (action: 'block' | 'unblock'): Promise<void> => {
    for (const [from, to] of ways) await world.lab[action](world.lab.host(from), world.lab.host(to));
  };
  await change('block');
  return () => change('unblock');
}

/** Takes the free blocks at once, and what is left of them by writing until there is no space left on the device. */
const FILL_DISK = `
cd /var/lib/swarmd
fallocate -l "$(($(df --output=avail -B1 . | tail -n 1) * 99 / 100))" ballast
dd if=/dev/zero of=ballast bs=64K oflag=append conv=notrunc
echo >>ballast`;

async function fillDisk(host: Host): Promise<Undo> {
  await host.exec(FILL_DISK);
  return async () => {
    await host.exec(['rm', '-f', '/var/lib/swarmd/ballast']);
  };
}

/** Makes each sync of swarmd, and of the etcd that it runs, take so much longer; every system call takes a bit longer. */
async function slowSyncs(host: Host, delayMs: number): Promise<Undo> {
  const found = await host.exec(`pgrep -f ${swarmdEntry}; pgrep -x etcd`);
  const targets = found.stdout.split('\n').filter(Boolean);
  if (targets.length === 0) return nothing;
  const inject = `inject=fsync,fdatasync:delay_enter=${delayMs * 1_000}`;
  const options = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=fsync,fdatasync', '-e', inject];
  const argv = ['strace', ...options, ...targets.flatMap((pid) => ['-p', pid])];
  const tracer = host.spawn(argv, { stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => tracer.once('exit', () => resolve()));
  return async () => {
    tracer.kill('SIGINT');
    await ended;
  };
}

async function failPower({ host, keeper }: Place): Promise<Undo> {
  // The keeper is told first: it must not start a swarmd on a host that is coming up.
  await keeper.drop();
  await host.kill();
  return async () => {
    await host.start();
    keeper.keep();
  };
}

/** Kills one of the cluster's containers on a host, as a program does that crashes; nothing where none runs. */
async function killContainer(host: Host): Promise<void> {
  const filters = new URLSearchParams({ filters: JSON.stringify({ label: ['com.docker.swarm.task.id'] }) });
  const listed = await callEngine(host.engineSocket, { path: `/containers/json?${filters}` });
  const [container] = JSON.parse(listed) as { Id: string }[];
  if (container === undefined) return;
  // It may have ended by itself meanwhile.
  await callEngine(host.engineSocket, { method: 'POST', path: `/containers/${container.Id}/kill` }).catch(() => {});
}
