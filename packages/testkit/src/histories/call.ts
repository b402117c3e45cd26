/**
 * What a client asked of one named object. The key is its name, `id` what the API gave it, `version` its
 * `Version.Index` and `value` a text that no other write of the history has.
 */
export type Action =
  | { kind: 'create'; value: string }
  | { kind: 'read' }
  | { kind: 'update'; id: string; version: number; value: string }
  | { kind: 'delete'; id: string };

/**
 * What the client was told. `unknown`: nothing it can rely on (the connection broke, time was up, an error of the
 * server), so that the action may have happened, may happen later, or never. `stale`: refused because the object has
 * another version. `exists`: refused because the name is taken. `absent`: there is no such object.
 */
export type Answer =
  | { kind: 'unknown' }
  | { kind: 'created'; id: string }
  | { kind: 'exists' }
  | { kind: 'found'; id: string; version: number; value: string }
  | { kind: 'updated' }
  | { kind: 'stale' }
  | { kind: 'deleted' }
  | { kind: 'absent' };

/** One call of one client about one key, with times of one monotonic clock in milliseconds. */
export interface Call {
  client: string;
  /** Where it was sent. */
  via: string;
  key: string;
  invokedAt: number;
  /** Infinity where the answer is `unknown`. */
  returnedAt: number;
  action: Action;
  answer: Answer;
}

/** Collects the calls of all clients of a run. */
export interface History {
  readonly calls: readonly Call[];
  /** Milliseconds on the clock of the calls. */
  now(): number;
  /**
   * Notes an action that is about to be sent. The function that it returns takes the answer; `failed` stands for an
   * action that surely did not happen. Without an answer it stays `unknown`.
   */
  invoke(client: string, via: string, key: string, action: Action): (answer: Answer | 'failed') => void;
}

/** An empty history on a monotonic clock in milliseconds. */
export function createHistory(monotonic: () => number): History {
  const calls = new Set<Call>();
  return {
    get calls() {
      return [...calls];
    },
    now: monotonic,
    invoke(client, via, key, action) {
      const answer: Answer = { kind: 'unknown' };
      const call: Call = { client, via, key, invokedAt: monotonic(), returnedAt: Infinity, action, answer };
      calls.add(call);
      return (answered) => {
        // A read that told nothing says nothing about the object.
        const worthless = answered === 'failed' || (answered.kind === 'unknown' && action.kind === 'read');
        if (worthless) calls.delete(call);
        else if (answered.kind !== 'unknown') Object.assign(call, { answer: answered, returnedAt: monotonic() });
      };
    },
  };
}

/** A call in a line: `12.034 – 12.050 c3 via h2: update x at 7 to "c3-9" → updated`. Times are seconds. */
export function describeCall({ client, via, key, invokedAt, returnedAt, action, answer }: Call): string {
  const seconds = (ms: number): string => (Number.isFinite(ms) ? (ms / 1000).toFixed(3) : '…');
  const asked = {
    create: () => `create ${key} as "${(action as { value: string }).value}"`,
    read: () => `read ${key}`,
    update: () => {
      const { id, version, value } = action as Extract<Action, { kind: 'update' }>;
      return `update ${key} (${id.slice(0, 6)}) at ${version} to "${value}"`;
    },
    delete: () => `delete ${key} (${(action as { id: string }).id.slice(0, 6)})`,
  }[action.kind]();
  const found = answer.kind === 'found' ? ` ${answer.id.slice(0, 6)} at ${answer.version} "${answer.value}"` : '';
  const created = answer.kind === 'created' ? ` ${answer.id.slice(0, 6)}` : '';
  return `${seconds(invokedAt)} – ${seconds(returnedAt)} ${client} via ${via}: ${asked} → ${answer.kind}${found}${created}`;
}
