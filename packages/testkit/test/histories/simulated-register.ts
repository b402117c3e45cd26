import { type Action, type Answer, type Call, createHistory } from '../../src/histories/index.js';
import { seededRandom } from '../../src/sim/random.js';

/** What is wrong with a simulated server; `none` is a correct one. */
export type Defect =
  | 'none'
  /** One of its replicas answers reads from what it knew a while ago. */
  | 'stale-reads'
  /** Now and then it acknowledges a write that it then forgets. */
  | 'lost-writes'
  /** It does not look at the version that an update is for. */
  | 'blind-updates'
  /** It lets a name be taken twice: the second object hides the first. */
  | 'double-creates'
  /** After a restart it gives versions that it has given already. */
  | 'versions-again'
  /** What it was asked twice, by a client that tries again without telling it, it does twice. */
  | 'writes-twice';

interface Held {
  id: string;
  version: number;
  value: string;
}

interface Pending {
  client: string;
  action: Action;
  answered: (answer: Answer | 'failed') => void;
  answer: Answer | undefined;
}

/**
 * A history of some clients with a server that keeps one named object, interleaved by the seed: calls begin, take
 * effect in between, and return, or lose their answer. Clients read before they update, as users do.
 */
export function simulateHistory(seed: number, steps: number, defect: Defect): readonly Call[] {
  const random = seededRandom(seed);
  const int = (below: number): number => Math.floor(random.float() * below);
  let time = 0;
  const history = createHistory(() => time);
  const server = createServer(defect, int);
  const pending: Pending[] = [];
  const known = new Map<string, Held>();
  for (; time < steps; time++) {
    const client = `c${int(4)}`;
    const call = pending.find((each) => each.client === client);
    if (call === undefined) {
      const action = choose(int, known.get(client), `${client}-${time}`);
      pending.push({ client, action, answered: history.invoke(client, 'h1', 'x', action), answer: undefined });
    } else if (call.answer === undefined) {
      call.answer = server(call.action);
    } else {
      pending.splice(pending.indexOf(call), 1);
      const lost = int(12) === 0;
      call.answered(lost ? { kind: 'unknown' } : call.answer);
      if (call.answer.kind === 'found') known.set(client, call.answer);
    }
  }
  return history.calls;
}

function choose(int: (below: number) => number, known: Held | undefined, value: string): Action {
  const dice = int(10);
  if (dice < 4 || (known === undefined && dice < 8)) return { kind: 'read' };
  if (dice < 8) return { kind: 'update', id: known!.id, version: known!.version, value };
  if (dice < 9 || known === undefined) return { kind: 'create', value };
  return { kind: 'delete', id: known.id };
}

function createServer(defect: Defect, int: (below: number) => number): (action: Action) => Answer {
  let held: Held | undefined;
  let version = 0;
  let created = 0;
  const past: (Held | undefined)[] = [undefined];
  const now = (is: Defect, oneOf: number): boolean => defect === is && int(oneOf) === 0;
  const put = (next: Held | undefined): void => {
    if (now('lost-writes', 5)) return;
    held = next;
    past.push(next);
  };
  const nextVersion = (): number => {
    if (now('versions-again', 5)) version = Math.max(0, version - 3);
    version += 1 + int(2);
    return version;
  };
  const act = (action: Action): Answer => {
    if (action.kind === 'read') {
      const seen = now('stale-reads', 4) ? past.at(-1 - int(3)) : held;
      return seen === undefined ? { kind: 'absent' } : { kind: 'found', ...seen };
    }
    if (action.kind === 'create') {
      if (held !== undefined && defect !== 'double-creates') return { kind: 'exists' };
      put({ id: `id${++created}`, version: nextVersion(), value: action.value });
      return { kind: 'created', id: `id${created}` };
    }
    if (held === undefined || held.id !== action.id) return { kind: 'absent' };
    if (action.kind === 'delete') {
      put(undefined);
      return { kind: 'deleted' };
    }
    if (held.version !== action.version && defect !== 'blind-updates') return { kind: 'stale' };
    put({ id: held.id, version: nextVersion(), value: action.value });
    return { kind: 'updated' };
  };
  return (action) => {
    const first = act(action);
    return action.kind !== 'read' && now('writes-twice', 4) ? act(action) : first;
  };
}
