import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Action, Answer, History } from '@swarmd/testkit';
import { waitFor } from '../../e2e/support/wait.js';
import { callApi, type Reply } from './api-call.js';
import type { Dice } from './dice.js';
import { nameOf, parseSeen, type Resource, type Seen } from './resources.js';
import type { Place } from './world.js';

/** What a client does and how often. */
export interface ClientOptions {
  name: string;
  managers: readonly Place[];
  resources: readonly Resource[];
  history: History;
  dice: Dice;
  /** Milliseconds between two calls, drawn anew each time. */
  pauseMs: readonly [min: number, max: number];
}

/** What clients noticed beside their history. */
export interface Notes {
  /** Answers that no correct manager gives to such a call. */
  readonly surprises: string[];
  /** Times, on the history's clock, at which a write was acknowledged. */
  readonly acknowledgedAt: number[];
}

/** Longer than any healthy call takes here; a user's patience when a manager hangs. */
const CALL_TIMEOUT_MS = 4_000;

/** Reads and writes objects at random through random managers until aborted, and notes everything in the history. */
export async function runClient(options: ClientOptions, notes: Notes, signal: AbortSignal): Promise<void> {
  const { managers, resources, dice, pauseMs } = options;
  const agent = new Agent({ keepAlive: true });
  const client = createClient(options, notes, agent);
  const seen: Known = new Map();
  let resource = dice.pick(resources);
  while (!signal.aborted) {
    // Often the same again, since what was read long ago is stale.
    if (dice.chance(0.6)) resource = dice.pick(resources);
    await client(dice.pick(managers), resource, seen, choose(resource, seen.get(resource.key), dice));
    await delay(dice.int(...pauseMs), undefined, { signal }).catch(() => {});
  }
  agent.destroy();
}

/**
 * Does the same to every object through every manager once, at the beginning or the end of a run, again where it stays
 * unknown what came of it; rejects where that does not end.
 */
export async function askAll(
  kind: 'create' | 'read',
  options: Omit<ClientOptions, 'pauseMs'>,
  notes: Notes,
): Promise<void> {
  const agent = new Agent({ keepAlive: true });
  const client = createClient(options, notes, agent);
  for (const manager of options.managers) {
    for (const resource of options.resources) {
      await waitFor(`${manager.host.name} answers a ${kind} of ${resource.key}`, async () => {
        const answer = await client(manager, resource, new Map(), kind);
        return answer !== 'failed' && answer !== 'unknown';
      });
    }
  }
  agent.destroy();
}

type Kind = Action['kind'];

/** What a client knows of objects by key: as it has read them, or that they are not there. */
type Known = Map<string, Seen | 'absent'>;

function choose(resource: Resource, known: Seen | 'absent' | undefined, dice: Dice): Kind {
  if (resource.create !== undefined && dice.chance(known === 'absent' ? 0.8 : 0.05)) return 'create';
  if (known === undefined || known === 'absent') return 'read';
  if (resource.remove !== undefined && dice.chance(0.06)) return 'delete';
  return dice.chance(0.75) ? 'update' : 'read';
}

function createClient(
  { name, history, dice }: Omit<ClientOptions, 'pauseMs'>,
  notes: Notes,
  agent: Agent,
): (via: Place, resource: Resource, seen: Known, kind: Kind) => Promise<Answer['kind'] | 'failed'> {
  let count = 0;
  return async (via, resource, seen, kind) => {
    const held = seen.get(resource.key);
    const known = held === 'absent' ? undefined : held;
    const value = `${name}-${++count}`;
    const action = actionOf(kind, known, value);
    const { method, path, body } = requestOf(resource, action, known, dice);
    const answered = history.invoke(name, via.host.name, resource.key, action);
    // Both promise the same, but to a strict read the manager may not answer with what could be stale.
    const strict = kind === 'read' && dice.chance(0.5);
    const call = { socketPath: via.socket, agent, method, path, timeoutMs: CALL_TIMEOUT_MS, strict };
    const reply = await callApi(body === undefined ? call : { ...call, body });
    const found = kind === 'read' && reply.kind === 'answer' && reply.status === 200 && !isStale(reply);
    const read = found ? parseSeen(reply.body, nameOf(resource)) : undefined;
    const answer = strict && isStale(reply) ? 'surprise' : answerOf(kind, reply, read);
    answered(answer === 'surprise' ? { kind: 'unknown' } : answer);
    if (answer === 'surprise') {
      const { status, body: said } = reply as Extract<Reply, { kind: 'answer' }>;
      notes.surprises.push(`${name} via ${via.host.name}: ${method} ${path}: ${status} ${said.trim()}`);
      return 'unknown';
    }
    if (answer === 'failed') return answer;
    if (kind !== 'read' && ['created', 'updated', 'deleted'].includes(answer.kind)) {
      notes.acknowledgedAt.push(history.now());
    }
    if (read !== undefined) seen.set(resource.key, read);
    else if (answer.kind === 'absent' || answer.kind === 'deleted') seen.set(resource.key, 'absent');
    else if (answer.kind !== 'unknown') seen.delete(resource.key);
    return answer.kind;
  };
}

function actionOf(kind: Kind, known: Seen | undefined, value: string): Action {
  if (kind === 'create') return { kind, value };
  if (kind === 'read') return { kind };
  return kind === 'delete' ? { kind, id: known!.id } : { kind, id: known!.id, version: known!.version, value };
}

function requestOf(
  resource: Resource,
  action: Action,
  known: Seen | undefined,
  dice: Dice,
): { method: 'GET' | 'POST' | 'DELETE'; path: string; body?: object } {
  switch (action.kind) {
    case 'create':
      return { method: 'POST', ...resource.create!(action.value) };
    case 'read':
      return { method: 'GET', path: dice.pick(resource.reads) };
    case 'update':
      return { method: 'POST', ...resource.update(known!, action.value, dice) };
    case 'delete':
      return { method: 'DELETE', path: resource.remove!(known!) };
  }
}

function answerOf(kind: Kind, reply: Reply, read: Seen | undefined): Answer | 'failed' | 'surprise' {
  if (reply.kind === 'not-sent') return 'failed';
  if (reply.kind === 'lost') return { kind: 'unknown' };
  const { status, body } = reply;
  // What is marked so promises nothing.
  if (kind === 'read' && isStale(reply)) return { kind: 'unknown' };
  if (status < 300) {
    if (kind === 'create') return { kind: 'created', id: (JSON.parse(body) as { ID: string }).ID };
    if (kind === 'update') return { kind: 'updated' };
    if (kind === 'delete') return { kind: 'deleted' };
    return read === undefined ? { kind: 'absent' } : { kind: 'found', ...pick(read) };
  }
  if (status === 404 && kind !== 'create') return { kind: 'absent' };
  if (status === 409 && kind === 'create') return { kind: 'exists' };
  // Docker has no status of its own for it: clients know it by these words.
  if (status === 500 && kind === 'update' && body.includes('update out of sequence')) return { kind: 'stale' };
  return status >= 500 ? { kind: 'unknown' } : 'surprise';
}

function isStale(reply: Reply): boolean {
  return reply.kind === 'answer' && reply.stale;
}

function pick({ id, version, value }: Seen): { id: string; version: number; value: string } {
  return { id, version, value };
}
