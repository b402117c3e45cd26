import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { callEngine, type Host } from '@swarmd/testkit';
import type { Life } from './lives.js';
import type { Place } from './world.js';

const RECONNECT_MS = 100;
const LABELS = {
  service: 'com.docker.swarm.service.name',
  name: 'com.docker.swarm.task.name',
  task: 'com.docker.swarm.task.id',
};

/** What the engines of a world told of the cluster's containers. */
export interface EngineWatch {
  /** Every container that was seen to run, also those that still do. */
  readonly lives: readonly Life[];
  stop(): Promise<void>;
}

interface EngineEvent {
  Action: string;
  timeNano: number;
  Actor: { ID: string; Attributes: Record<string, string> };
}

/**
 * Hears from all engines when containers of tasks start and end. All test hosts have the clock of this machine, so the
 * engines' times compare to the nanosecond; `seconds` turns milliseconds of wall time into those of the run. Where an
 * engine goes away all of its containers have ended: only a host's loss of power does that here.
 */
export function watchEngines(places: readonly Place[], seconds: (wallMs: number) => number): EngineWatch {
  const lives: Life[] = [];
  const ending = new AbortController();
  const watching = places.map(({ host }) => watchHost(host, lives, seconds, ending.signal));
  return {
    lives,
    stop: async () => {
      ending.abort();
      await Promise.all(watching);
    },
  };
}

async function watchHost(
  host: Host,
  lives: Life[],
  seconds: (wallMs: number) => number,
  signal: AbortSignal,
): Promise<void> {
  const running = new Map<string, Life>();
  const begin = (container: string, labels: Record<string, string>, wallMs: number): void => {
    if (running.has(container)) return;
    const name = labels[LABELS.name] ?? '';
    const life = {
      container,
      host: host.name,
      service: labels[LABELS.service] ?? '',
      slot: name.slice(0, name.lastIndexOf('.')),
      task: labels[LABELS.task] ?? '',
      from: seconds(wallMs),
      to: Infinity,
    };
    running.set(container, life);
    lives.push(life);
  };
  const end = (container: string, wallMs: number): void => {
    const life = running.get(container);
    if (life !== undefined) life.to = seconds(wallMs);
    running.delete(container);
  };
  while (!signal.aborted) {
    const events = await listen(host, signal).catch(() => undefined);
    if (events !== undefined) {
      // The stream stands: what starts from here on is in it, what started before is listed.
      const found = await listRunning(host).catch(() => []);
      for (const { Id, Labels } of found) begin(Id, Labels, Date.now());
      await readLines(events, (line) => {
        const { Action, timeNano, Actor } = JSON.parse(line) as EngineEvent;
        if (Action === 'start') begin(Actor.ID, Actor.Attributes, timeNano / 1e6);
        else end(Actor.ID, timeNano / 1e6);
      });
      if (!signal.aborted) for (const container of [...running.keys()]) end(container, Date.now());
    }
    await delay(RECONNECT_MS, undefined, { signal }).catch(() => {});
  }
}

/** Resolves when the stream ends or breaks, which is the same here. */
function readLines(stream: IncomingMessage, onLine: (line: string) => void): Promise<void> {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) onLine(line);
  });
  return new Promise((resolve) => stream.once('close', resolve));
}

/** The engine's stream of starts and ends; it ends, without an error, where the engine does or `signal` aborts. */
function listen(host: Host, signal: AbortSignal): Promise<IncomingMessage> {
  const filters = JSON.stringify({ type: ['container'], label: [LABELS.task], event: ['start', 'die'] });
  const path = `/events?${new URLSearchParams({ filters })}`;
  return new Promise((resolve, reject) => {
    const outgoing: ClientRequest = request({ socketPath: host.engineSocket, path, headers: { host: 'engine' } });
    const stop = (): void => void outgoing.destroy();
    signal.addEventListener('abort', stop, { once: true });
    outgoing.on('error', reject);
    outgoing.on('close', () => {
      signal.removeEventListener('abort', stop);
      reject(new Error('the engine is gone'));
    });
    outgoing.on('response', (response) => {
      response.on('error', () => {});
      resolve(response);
    });
    outgoing.end();
  });
}

async function listRunning(host: Host): Promise<{ Id: string; Labels: Record<string, string> }[]> {
  const filters = new URLSearchParams({ filters: JSON.stringify({ label: [LABELS.task] }) });
  return JSON.parse(await callEngine(host.engineSocket, { path: `/containers/json?${filters}` })) as [];
}
