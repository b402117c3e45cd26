import { setTimeout as delay } from 'node:timers/promises';
import { callApi } from './api-call.js';
import type { Dice } from './dice.js';
import type { Place } from './world.js';

const LIST_PAUSE_MS = 400;
const LIST_TIMEOUT_MS = 5_000;

/** How far {@link watchVersions} got, and what it found wrong, in words. */
export interface Findings {
  looks: number;
  readonly problems: string[];
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
    if (reply.kind === 'answer' && reply.status === 200 && !reply.stale) {
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
