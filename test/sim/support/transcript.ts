import type { Clock, Commit, StoreEvent } from '@swarmd/model';

/** What happened in a simulation, for the person who reads why it failed. */
export interface Transcript {
  /** Something that was done to the cluster from outside. */
  step(text: string): void;
  /** Something that the cluster did. */
  note(text: string): void;
  commit(commit: Commit): void;
  /** All steps, and the last `count` lines of everything, with seconds of simulated time. */
  print(count: number): string;
}

const KEPT_LINES = 2_000;

/** An empty transcript. */
export function createTranscript(clock: Clock): Transcript {
  const steps: string[] = [];
  const lines: string[] = [];
  const add = (text: string): string => {
    const line = `${(clock.monotonic() / 1000).toFixed(3).padStart(9)}  ${text}`;
    lines.push(line);
    if (lines.length > 2 * KEPT_LINES) lines.splice(0, KEPT_LINES);
    return line;
  };
  return {
    step: (text) => void steps.push(add(`> ${text}`)),
    note: (text) => void add(text),
    commit: ({ index, events }) => {
      for (const event of events) {
        const text = describe(event);
        if (text !== undefined) add(`#${index} ${text}`);
      }
    },
    print: (count) => ['steps:', ...steps, `last ${count} lines:`, ...lines.slice(-count)].join('\n'),
  };
}

function describe({ table, kind, object, previous }: StoreEvent): string | undefined {
  if (table === 'task') {
    const { ID, ServiceName, Slot, NodeID, SpecVersion, DesiredState, Status } = object;
    const name = `${ServiceName}.${Slot} ${ID.slice(0, 6)} v${SpecVersion} on ${NodeID || '-'}`;
    if (kind !== 'update') return `task ${name}: ${kind}d, ${Status.State}/${DesiredState}`;
    const before = `${previous?.Status.State}/${previous?.DesiredState}`;
    const error = Status.Err === undefined ? '' : ` (${Status.Err})`;
    return `task ${name}: ${before} -> ${Status.State}/${DesiredState}${error}`;
  }
  if (table === 'service') {
    const { SpecVersion, UpdateStatus, UpdateProgress, PendingDelete, Spec } = object;
    const update = UpdateStatus === undefined ? '' : ` ${UpdateStatus.State}: ${UpdateStatus.Message}`;
    const progress = UpdateProgress === undefined ? '' : ` (of ${UpdateProgress.TotalSlots})`;
    return `service ${Spec.Name}: ${kind}d, v${SpecVersion}${update}${progress}${PendingDelete ? ' leaving' : ''}`;
  }
  if (table === 'node') {
    const { ID, Status, Spec, Session } = object;
    return `node ${ID}: ${kind}d, ${Status.State} ${Spec.Availability} session ${Session?.ID.slice(0, 4) ?? '-'}`;
  }
  return undefined;
}
