import { isDeepStrictEqual } from 'node:util';
import {
  type Commit,
  compareStates,
  isTerminal,
  type LogEvent,
  type ReadView,
  type SharedLog,
  type SharedStore,
  TABLE_NAMES,
} from '@swarmd/model';
import { openSharedStore, type SharedMemory } from '@swarmd/store';
import type { ManualClock } from '@swarmd/testkit';
import { checkAddresses } from '../support/address-checks.js';
import { type CommitCheck, checkLadder, checkPlacement, createSlotCheck } from '../support/task-checks.js';
import { checkUpdateStatus, createParallelismCheck } from '../support/update-checks.js';

/** How far a life of a manager has come. */
interface Progress {
  store: SharedStore;
  /** How many entries of the log it has applied. */
  applied: number;
}

/** Sees the shared log as it is, at once and without faults, and holds all that managers do and say against it. */
export class Witness {
  readonly #report: (problem: string) => void;
  readonly #onCommit: (commit: Commit) => void;
  readonly #checks: readonly CommitCheck[] = [
    checkLadder,
    checkAddresses,
    checkPlacement,
    createSlotCheck(),
    checkUpdateStatus,
    createParallelismCheck(() => this.#skewMs),
  ];
  readonly #entries: { index: number; digest: string }[] = [];
  readonly #progress = new Map<string, Progress>();
  /** The highest index that any life of a manager has shown. */
  readonly #shown = new Map<string, number>();
  readonly #operations = new Map<string, number>();
  #term: number | undefined;
  #index = 0;
  #compacted = false;
  #skewMs = 0;
  #store!: SharedStore;
  commits = 0;

  constructor(report: (problem: string) => void, onCommit: (commit: Commit) => void) {
    this.#report = report;
    this.#onCommit = onCommit;
  }

  /** Begins to watch `memory`. */
  async open(memory: SharedMemory, clock: ManualClock): Promise<void> {
    const log = memory.open({}, (deliver) => deliver());
    const seen: SharedLog = Object.create(log, {
      follow: {
        value: (onEvent: (event: LogEvent) => void) =>
          log.follow((event) => {
            this.#onEvent(event);
            onEvent(event);
          }),
      },
    }) as SharedLog;
    this.#store = await openSharedStore({ log: seen, clock });
    this.#store.watch((commit) => this.#committed(commit));
  }

  /** The newest state that the log holds. */
  get view(): ReadView {
    return this.#store.view;
  }

  get index(): number {
    return this.#store.index;
  }

  get term(): number | undefined {
    return this.#term;
  }

  /** How far clocks of managers may differ from the simulation's. */
  get skewMs(): number {
    return this.#skewMs;
  }

  /** The log forgets its events: managers that were behind read all of it anew. */
  compacted(): void {
    this.#compacted = true;
  }

  /** A manager's clock has jumped: they may differ by that much more from now on. */
  clockJumped(ms: number): void {
    this.#skewMs += Math.abs(ms);
  }

  /** Whether the write that carries this mark has taken effect. */
  happened(operation: string): boolean {
    return this.#operations.has(operation);
  }

  /** A life of a manager has read the log. */
  opened(host: string, store: SharedStore): void {
    const applied = this.#entries.findLastIndex(({ index }) => index <= store.index) + 1;
    this.#progress.set(host, { store, applied });
    this.checkIndex(host, store);
  }

  /** A manager shows a commit. */
  showed(host: string, store: SharedStore, commit: Commit): void {
    const progress = this.#progress.get(host);
    if (progress?.store !== store) return;
    const entry = this.#entries[progress.applied];
    if (entry?.index === commit.index && entry.digest === digestOf(commit)) progress.applied++;
    else if (this.#compacted && (entry === undefined || commit.index >= entry.index))
      progress.applied = this.#entries.findLastIndex(({ index }) => index <= commit.index) + 1;
    else
      this.#report(
        `${host} shows #${commit.index} ${digestOf(commit)}, and the log has #${entry?.index} ${entry?.digest}`,
      );
  }

  /** No manager goes back, nor ahead of the log, in this life or the next. */
  checkIndex(host: string, store: SharedStore): void {
    const before = this.#shown.get(host) ?? 0;
    if (store.index < before) this.#report(`${host} went back from #${before} to #${store.index}`);
    if (store.index > this.index) this.#report(`${host} is at #${store.index}, and the log at #${this.index}`);
    this.#shown.set(host, store.index);
  }

  /** A container that runs is about to be ended: only what the cluster does not want any more may be. */
  ending(node: string, taskId: string): void {
    const task = this.view.get('task', taskId);
    if (task === undefined || isTerminal(task.Status.State)) return;
    if (compareStates(task.DesiredState, 'running') <= 0)
      this.#report(`${node} ends task ${taskId}, which is ${task.Status.State}/${task.DesiredState}`);
  }

  /** A manager that has caught up holds what the log holds, to the last byte. */
  checkTables(host: string, store: SharedStore): void {
    for (const table of TABLE_NAMES) {
      if (store.view.count(table) !== this.view.count(table)) this.#report(`${host} has another number of ${table}s`);
      for (const object of this.view.all(table))
        if (!isDeepStrictEqual(store.view.get(table, object.ID), object))
          this.#report(`${host} has another ${table} ${object.ID}`);
    }
  }

  #onEvent(event: LogEvent): void {
    if (event.kind === 'leader') {
      if (event.leader !== undefined && event.leader.term <= (this.#term ?? 0)) this.#report('a term was used twice');
      this.#term = event.leader?.term;
    } else if (event.kind === 'entry') {
      const { index, operations } = event.entry;
      if (event.term !== this.#term)
        this.#report(`#${index} was written in term ${event.term}, and ${this.#term} leads`);
      if (index <= this.#index) this.#report(`#${index} was written after #${this.#index}`);
      this.#index = index;
      const parts = operations.map(({ table, key, value }) => `${table}/${key}@${value?.Version.Index ?? '-'}`);
      if (operations.length > 0) this.#entries.push({ index, digest: parts.join(' ') });
    }
  }

  #committed(commit: Commit): void {
    this.commits++;
    this.#onCommit(commit);
    for (const check of this.#checks)
      for (const problem of check(commit, this.view)) this.#report(`#${commit.index}: ${problem}`);
    for (const { table, kind, object, previous } of commit.events) {
      if (table !== 'service' || kind === 'delete') continue;
      const name = object.Spec.Name;
      if (kind === 'create')
        for (const other of this.view.all('service'))
          if (other.ID !== object.ID && other.Spec.Name === name && !other.PendingDelete)
            this.#report(`there are two services ${name}`);
      const operation = object.Spec.Labels?.['operation'];
      if (operation === undefined || operation === previous?.Spec.Labels?.['operation']) continue;
      if (kind === 'create' && this.#operations.has(operation)) this.#report(`operation ${operation} was done twice`);
      this.#operations.set(operation, commit.index);
    }
  }
}

function digestOf({ events }: Commit): string {
  return events
    .map(({ table, kind, object }) => `${table}/${object.ID}@${kind === 'delete' ? '-' : object.Version.Index}`)
    .join(' ');
}
