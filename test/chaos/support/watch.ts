import { setTimeout as delay } from 'node:timers/promises';
import { callEngine } from '@swarmd/testkit';
import { callApi } from './api-call.js';
import type { Dice } from './dice.js';
import { type Excused, judgeSweeps, type Running, type Sweep } from './samples.js';
import type { Place } from './world.js';

const SWEEP_PAUSE_MS = 300;
const LIST_PAUSE_MS = 400;
const LIST_TIMEOUT_MS = 5_000;

/** How far {@link watchEngines} and {@link watchVersions} got, and what they found wrong, in words. */
export interface Findings {
  looks: number;
  readonly problems: string[];
}

/** Looks at all engines again and again until aborted, and judges each two successive looks. */
export async function watchEngines(
  places: readonly Place[],
  seconds: () => number,
  allowed: (service: string) => number,
  excused: Excused,
  signal: AbortSignal,
): Promise<Findings> {
  const findings: Findings = { looks: 0, problems: [] };
  let before: Sweep | undefined;
  while (!signal.aborted) {
    const at = seconds();
    const lists = await Promise.all(places.map((place) => runningOn(place)));
    const sweep = { at, running: lists.flat() };
    if (before !== undefined) findings.problems.push(...judgeSweeps(before, sweep, allowed, excused));
    before = sweep;
    findings.looks++;
    await delay(SWEEP_PAUSE_MS, undefined, { signal }).catch(() => {});
  }
  return findings;
}

/**
 * Lists everything through one manager after another until aborted: nobody may be told an older version of an object
 * than was told before.
 */
export async function watchVersions(managers: readonly Place[], dice: Dice, signal: AbortSignal): Promise<Findings> {
  const findings: Findings = { looks: 0, problems: [] };
  const highest = new Map<string, { version: number; via: string }>();
  while (!signal.aborted) {
    const via = dice.pick(managers);
    const path = dice.pick(['/services', '/tasks', '/nodes', '/configs', '/secrets']);
    const call = { socketPath: via.socket, method: 'GET', path, timeoutMs: LIST_TIMEOUT_MS } as const;
    const reply = await callApi(call);
    if (reply.kind === 'answer' && reply.status === 200) {
      findings.looks++;
      const listed = JSON.parse(reply.body) as { ID?: string; Version?: { Index: number }; Spec?: { Name?: string } }[];
      const names = new Set<string>();
      for (const { ID, Version, Spec } of listed) {
        if (ID === undefined || Version === undefined) continue;
        const old = highest.get(ID);
        if (old !== undefined && old.version > Version.Index) {
          findings.problems.push(
            `${path} ${ID} is at ${Version.Index} via ${via.host.name}, was at ${old.version} via ${old.via}`,
          );
        }
        highest.set(ID, { version: Version.Index, via: via.host.name });
        const name = Spec?.Name;
        if (name !== undefined && names.has(name))
          findings.problems.push(`${path} via ${via.host.name}: ${name} twice`);
        if (name !== undefined) names.add(name);
      }
    }
    await delay(LIST_PAUSE_MS, undefined, { signal }).catch(() => {});
  }
  return findings;
}

/** The cluster's running containers on a host; none while its engine does not answer. */
async function runningOn({ host }: Place): Promise<Running[]> {
  const filters = new URLSearchParams({ filters: JSON.stringify({ label: ['com.docker.swarm.task.id'] }) });
  try {
    const body = await callEngine(host.engineSocket, { path: `/containers/json?${filters}`, timeoutMs: 5_000 });
    const list = JSON.parse(body) as { Id: string; Labels: Record<string, string> }[];
    return list.map(({ Id, Labels }) => {
      const name = Labels['com.docker.swarm.task.name'] ?? '';
      return {
        container: Id,
        host: host.name,
        service: Labels['com.docker.swarm.service.name'] ?? '',
        slot: name.slice(0, name.lastIndexOf('.')),
        task: Labels['com.docker.swarm.task.id'] ?? '',
      };
    });
  } catch {
    return [];
  }
}
