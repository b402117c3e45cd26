import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { Host } from '@swarmd/testkit';
import { waitFor } from '../../e2e/support/wait.js';
import { quantile } from '../ha/system.js';
import type { BenchLine } from '../main.js';
import { type Overlay, prober } from './overlays.js';

const KINDS = ['told', 'address', 'dns', 'vip', 'gone'] as const;
type Kind = (typeof KINDS)[number];
const SERVE = ['sh', '-c', 'hostname >/www/index.html; exec httpd -f -p 8080 -h /www'];
const POLL_MS = 20;

/** A `prober.mjs` in a container on a host. */
interface Prober {
  tell(message: object): void;
  /** Milliseconds of the epoch, by `<kind> <key>`; emptied by each `start`. */
  readonly seen: Map<string, number>;
  stop(): void;
}

/**
 * A service of as many tasks as there are hosts comes and goes, `rounds` times in each system in turn; a container on every
 * host looks every 20 ms. Emits `network/visible/<what>/<p50|p99>/<system>`, in ms from the time of the task's status
 * `running`: `told` (the manager's API shows that), and until it is so on all hosts: `address` (it answers there), `dns`
 * (`tasks.NAME` has it), `vip` (the virtual IP leads to it); and `gone`, from the call that takes it away until
 * `tasks.NAME` of no host has it. What was so before counts as 0. `address` is only asked once the API has told, and `vip`
 * is asked in rounds of its own.
 */
export async function measureVisible(
  hosts: readonly Host[],
  overlays: readonly Overlay[],
  rounds: number,
  emit: (line: BenchLine) => void,
): Promise<void> {
  // By itself: asking virtual IPs all the time would keep the machine busy while the rest is measured.
  const passes = overlays.flatMap((overlay) => [
    { overlay, kinds: ['told', 'address', 'dns', 'gone'] as const },
    ...(overlay.virtualIps ? [{ overlay, kinds: ['vip'] as const }] : []),
  ]);
  const stages = await Promise.all(
    passes.map(async ({ overlay, kinds }) => ({
      ...{ overlay, kinds },
      probers: await Promise.all(hosts.map((host) => startProber(host, overlay))),
      times: new Map<Kind, number[]>(kinds.map((kind) => [kind, []])),
    })),
  );
  try {
    for (let round = 0; round < rounds; round++) {
      for (const { overlay, kinds, probers, times } of stages) {
        const name = `seen-${kinds[0]}-${overlay.name}-${round}`;
        const found = await watchOne(overlay, probers, name, hosts.length, kinds);
        for (const [kind, values] of times) values.push(...found.get(kind)!);
        for (const each of probers) each.tell({});
        await overlay.remove(name);
      }
    }
  } finally {
    for (const { probers } of stages) for (const each of probers) each.stop();
  }
  for (const { overlay, times } of stages) {
    for (const [kind, values] of times) {
      const sorted = values.map((value) => Math.max(0, value)).sort((a, b) => a - b);
      emit({ name: `network/visible/${kind}/p50/${overlay.name}`, value: quantile(sorted, 0.5), unit: 'ms' });
      emit({ name: `network/visible/${kind}/p99/${overlay.name}`, value: quantile(sorted, 0.99), unit: 'ms' });
    }
  }
}

/** Times in ms of the epoch. */
interface SeenTask {
  address: string;
  host: string;
  /** Of its status `running`. */
  since: number;
  /** When the manager's API was seen to show it. */
  told: number;
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

async function watchOne(
  overlay: Overlay,
  probers: readonly Prober[],
  name: string,
  count: number,
  kinds: readonly Kind[],
): Promise<Map<Kind, number[]>> {
  await overlay.create(name, { command: SERVE, replicas: 0 });
  const asked = kinds.includes('vip') ? { virtualIp: await overlay.virtualIp(name) } : { names: true };
  for (const each of probers) each.tell({ start: name, ...asked });
  await overlay.scale(name, count);
  const tasks = await runningOnes(overlay, kinds.includes('address') ? probers : [], name, count);
  const all = (keys: readonly string[]): Promise<void> =>
    waitFor(
      `${keys.join(', ')} is seen on all hosts`,
      () => probers.every(({ seen }) => keys.every((key) => seen.has(key))),
      {
        everyMs: POLL_MS,
        describe: () => JSON.stringify(probers.map(({ seen }) => [...seen.keys()])),
      },
    );
  const last = (key: string): number => Math.max(...probers.map(({ seen }) => seen.get(key)!));
  const found = new Map<Kind, number[]>(KINDS.map((kind) => [kind, []]));
  for (const { address, host, since } of tasks) {
    for (const kind of kinds) {
      if (kind === 'told' || kind === 'gone') continue;
      const key = `${kind} ${kind === 'vip' ? host : address}`;
      await all([key]);
      found.get(kind)!.push(last(key) - since);
    }
  }
  found.set(
    'told',
    tasks.map(({ told, since }) => told - since),
  );
  for (const each of probers) each.tell({ leaving: true });
  const told = now();
  await overlay.scale(name, 0);
  if (!kinds.includes('gone')) return found;
  const gone = tasks.map(({ address }) => `gone ${address}`);
  await all(gone);
  found.set(
    'gone',
    gone.map((key) => last(key) - told),
  );
  return found;
}

/** Waits for the tasks; has the address of each asked once it runs. */
async function runningOnes(
  overlay: Overlay,
  probers: readonly Prober[],
  name: string,
  count: number,
): Promise<SeenTask[]> {
  const found = new Map<string, SeenTask>();
  await waitFor(
    `${count} tasks of ${name} run`,
    async () => {
      for (const task of await overlay.tasks(name)) {
        const address = overlay.addressOf(task);
        const { State, Timestamp, ContainerStatus } = task.Status;
        if (State !== 'running' || address === undefined || found.has(address)) continue;
        for (const each of probers) each.tell({ address });
        const host = ContainerStatus!.ContainerID!.slice(0, 12);
        found.set(address, { address, host, since: Date.parse(Timestamp), told: now() });
      }
      return found.size === count;
    },
    { everyMs: POLL_MS },
  );
  return [...found.values()];
}

async function startProber(host: Host, overlay: Overlay): Promise<Prober> {
  const container = await overlay.container(host, `client-${overlay.name}`);
  const child = host.spawn(['docker', 'exec', '-i', container, process.execPath, prober], { stdio: 'pipe' });
  const seen = new Map<string, number>();
  let errors = '';
  child.stderr!.on('data', (data: Buffer) => {
    errors = (errors + data).slice(-2_000);
  });
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const { kind, key, at } = JSON.parse(line) as { kind: Kind; key: string; at: number };
    seen.set(`${kind} ${key}`, at);
  });
  // A client of it has begun before anything is measured.
  await delay(500);
  if (child.exitCode !== null) throw new Error(`the prober on ${host.name} ended: ${errors}`);
  return {
    seen,
    tell(message) {
      if ('start' in message) seen.clear();
      child.stdin!.write(`${JSON.stringify(message)}\n`);
    },
    stop: () => void child.stdin!.end(),
  };
}
