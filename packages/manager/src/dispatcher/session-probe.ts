import type { ReadView } from '@swarmd/model';
import { callUnary, clientArguments, SessionProbeClient, type SessionProbeServer, unaryHandler } from '@swarmd/wire';
import type { ManagerPeers } from '../cluster/manager-peers.js';
import type { AgentSession } from './agent-session.js';
import { alreadyConnected, type SessionRegistry } from './registry.js';

/** What another manager's answer may take beyond the time that the agent has. */
const ANSWER_MS = 1_000;
/** The longest that another manager may have this one wait for a sign. */
const MAX_PROBE_MS = 60_000;

/** The service by which other managers ask whether a session here still lives. */
export function createSessionProbe(registry: SessionRegistry): Pick<SessionProbeServer, 'probe'> {
  return {
    probe: unaryHandler(async ({ nodeId, sessionId, withinMs }) => ({
      addr: registry.get(nodeId)?.addr ?? '',
      alive: await registry.probe(nodeId, sessionId, Math.min(MAX_PROBE_MS, withinMs)),
    })),
  };
}

/**
 * What `SessionRegistry.claim` does where the older session is at another manager: rejects with `already-exists` when it
 * belongs to another start of swarmd and its agent gives a sign within `probeMs`. A manager that does not answer has no
 * say: its host may have lost power together with the agent's.
 */
export async function probeElsewhere(
  { view, managerId, peers }: { view: ReadView; managerId: string; peers: ManagerPeers | undefined },
  { nodeId, bootNonce }: Pick<AgentSession, 'nodeId' | 'bootNonce'>,
  probeMs: number,
): Promise<void> {
  const node = view.get('node', nodeId);
  const { ID, BootNonce, Manager } = node?.Session ?? { ID: '', BootNonce: bootNonce };
  if (Manager === undefined || Manager === managerId || BootNonce === bootNonce) return;
  const channel = node?.Status.State === 'down' ? undefined : peers?.channel(Manager);
  if (channel === undefined) return;
  // The client is not closed: that would close the channel, which others use.
  const client = new SessionProbeClient(...clientArguments(channel));
  const request = { nodeId, sessionId: ID, withinMs: Math.round(probeMs) };
  const asked = callUnary(client.probe.bind(client), request, { timeoutMs: probeMs + ANSWER_MS });
  const { alive, addr } = await asked.catch(() => ({ alive: false, addr: '' }));
  if (alive) throw alreadyConnected(nodeId, addr);
}
