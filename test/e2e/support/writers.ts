import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Host } from '@swarmd/testkit';
import { callApi, type Reply } from '../../chaos/support/api-call.js';
import { SWARMD_SOCKET } from './cluster.js';

/**
 * What a client of a manager may meet: `serving` answers everything; while `stopping` it may refuse connections but
 * answers whoever has one; while `starting` it may also say that it is not ready.
 */
export type Phase = 'serving' | 'stopping' | 'starting';

/** Between two writes of one client. */
const PAUSE_MS = 20;
const CALL_TIMEOUT_MS = 20_000;

/** Clients that write without a pause, one through each manager. */
export interface Writers {
  /** Says what the clients of a manager must bear from now on. */
  phase(host: Host, phase: Phase): void;
  /** Names of the configs whose writes were acknowledged. */
  readonly written: ReadonlySet<string>;
  /** Every write that was not answered as it should have been, in words. */
  readonly failures: readonly string[];
  stop(): Promise<void>;
}

/** Starts a client for each manager; names of what it writes begin with `prefix`. */
export function startWriters(hosts: readonly Host[], prefix: string): Writers {
  const phases = new Map<Host, Phase>(hosts.map((host) => [host, 'serving']));
  const written = new Set<string>();
  const failures: string[] = [];
  let stopped = false;

  const write = async (host: Host, name: string): Promise<void> => {
    const before = phases.get(host)!;
    const reply = await callApi({
      ...{ socketPath: host.path(SWARMD_SOCKET), method: 'POST', path: '/configs/create', timeoutMs: CALL_TIMEOUT_MS },
      body: { Name: name, Labels: {}, Data: 'YQ==' },
    });
    const problem = problemOf(reply, [before, phases.get(host)!]);
    if (problem !== undefined) failures.push(`${name} (${before}): ${problem}`);
    if (reply.kind === 'answer' && reply.status === 201) written.add(name);
  };
  const run = async (host: Host): Promise<void> => {
    for (let count = 0; !stopped; count++) {
      await write(host, `${prefix}-${host.name}-${count}`);
      await delay(PAUSE_MS);
    }
  };
  const running = Promise.all(hosts.map(run));
  return {
    phase: (host, phase) => phases.set(host, phase),
    written,
    failures,
    stop: async () => {
      stopped = true;
      await running;
    },
  };
}

function problemOf(reply: Reply, phases: readonly Phase[]): string | undefined {
  if (reply.kind === 'lost') return 'no answer';
  if (reply.kind === 'not-sent') return phases.every((phase) => phase === 'serving') ? 'not connected' : undefined;
  if (reply.status === 201) return undefined;
  return reply.status === 503 && phases.includes('starting') ? undefined : `${reply.status} ${reply.body}`;
}

/** Follows a host's events until they end; resolves with whether they came to an orderly end. */
export function followEvents(host: Host): Promise<boolean> {
  return new Promise((resolve) => {
    const path = `/events?filters=${encodeURIComponent('{"type":["config"]}')}`;
    const outgoing = request({ socketPath: host.path(SWARMD_SOCKET), path }, (response) => {
      response.on('error', () => resolve(false));
      response.on('end', () => resolve(true));
      response.resume();
    });
    outgoing.on('error', () => resolve(false));
    outgoing.end();
  });
}
