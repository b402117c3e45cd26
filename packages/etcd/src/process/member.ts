import { existsSync } from 'node:fs';
import { mkdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { pause, SwarmdError } from '@swarmd/model';
import type { Logger } from 'pino';
import { type EtcdProcess, spawnEtcd } from './child.js';
import { etcdFlags, quotaBytesFor, SNAPSHOT_COUNT } from './flags.js';
import { type EtcdTls, type KeyFiles, removeKeyFiles, writeKeyFiles } from './key-directory.js';
import { createLineForwarder } from './log-lines.js';
import type { EtcdMember, EtcdMemberOptions, EtcdMemberState } from './options.js';
import { freePort, servesClients } from './probe.js';
import { describeExit, isStartPanic, verdictOf } from './verdict.js';

/** Between two starts, in milliseconds: doubled with each up to the maximum, from the minimum again once it ran well. */
const BACKOFF_MIN_MS = 250;
const BACKOFF_MAX_MS = 10_000;
/** It ran well when it served for this long. */
const RAN_WELL_MS = 30_000;
const STOP_GRACE_MS = 5_000;
/** Between two probes whose connection was refused. */
const PROBE_PAUSE_MS = 50;

/**
 * Starts etcd as a member and keeps it running. Resolves when the process is there, not when it serves: without a quorum
 * it cannot. Call it from the main thread. `damaged` when the data directory holds data without its log;
 * `failed-precondition` without a tmpfs for the keys or without `setpriv`.
 */
export async function startEtcdMember(options: EtcdMemberOptions): Promise<EtcdMember> {
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  if (existsSync(join(options.dataDir, 'member', 'snap')) && !existsSync(join(options.dataDir, 'member', 'wal'))) {
    throw new SwarmdError('damaged', `the log of etcd's data in ${options.dataDir} is missing`);
  }
  const files = await writeKeyFiles(options.keyDir, options.tls);
  const member = new SupervisedMember(options, files);
  await member.start();
  return member;
}

class SupervisedMember implements EtcdMember {
  readonly #options: EtcdMemberOptions;
  readonly #files: KeyFiles;
  readonly #log: Logger;
  readonly #forward: ReturnType<typeof createLineForwarder>;
  #tls: EtcdTls;
  #state: EtcdMemberState = 'starting';
  #port = 0;
  #quotaBytes = 0;
  #process: EtcdProcess | undefined;
  #readySinceMs: number | undefined;
  #hasServed = false;
  #panics = 0;
  #backoffMs = BACKOFF_MIN_MS;
  #isRestarting = false;
  #wake: () => void = () => {};
  #run: Promise<void> = Promise.resolve();
  readonly #watchers = new Set<() => void>();

  constructor(options: EtcdMemberOptions, files: KeyFiles) {
    this.#options = options;
    this.#files = files;
    this.#tls = options.tls;
    this.#log = options.logger.child({ component: 'etcd' });
    this.#forward = createLineForwarder(this.#log, options.clock);
  }

  get state(): EtcdMemberState {
    return this.#state;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get clientEndpoint(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  get clientTls(): EtcdTls {
    return this.#tls;
  }

  get quotaBytes(): number {
    return this.#quotaBytes;
  }

  async start(): Promise<void> {
    const first = await this.#spawn();
    if (first.pid === undefined) {
      await first.ended;
      throw new SwarmdError(
        'failed-precondition',
        'etcd needs setpriv to be started with (apt-get install util-linux)',
      );
    }
    this.#run = this.#supervise(first);
  }

  ready(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (signal.aborted) done(() => reject(signal.reason));
        else if (this.#state === 'ready') done(resolve);
        else if (this.#state === 'gone' || this.#state === 'stopped') {
          done(() => reject(new SwarmdError('unavailable', `etcd on this host is ${this.#state}`)));
        }
      };
      const done = (settle: () => void): void => {
        this.#watchers.delete(look);
        signal.removeEventListener('abort', look);
        settle();
      };
      this.#watchers.add(look);
      signal.addEventListener('abort', look);
      look();
    });
  }

  async renew(tls: EtcdTls): Promise<void> {
    await writeKeyFiles(this.#options.keyDir, tls);
    this.#tls = tls;
  }

  restart(): void {
    if (this.#state === 'gone' || this.#state === 'stopped') return;
    this.#isRestarting = true;
    this.#wake();
    this.#endInOrder();
  }

  async stop(): Promise<void> {
    const wasGone = this.#state === 'gone';
    this.#become('stopped');
    this.#wake();
    if (!wasGone) this.#endInOrder();
    await this.#run;
    await removeKeyFiles(this.#options.keyDir);
  }

  async #supervise(first: EtcdProcess): Promise<void> {
    for (let process = first; ; ) {
      const end = await this.#watch(process);
      if (this.#isStopped()) return;
      const exit = { ...end, wasReady: this.#readySinceMs !== undefined, panicsBefore: this.#panics };
      const gone = verdictOf(exit);
      if (gone !== undefined) {
        this.#log.error({ reason: gone }, 'etcd on this host cannot go on with the data it has');
        this.#become('gone');
        this.#options.onGone(gone);
        return;
      }
      this.#panics = isStartPanic(exit) ? this.#panics + 1 : 0;
      if (!this.#isRestarting) await this.#pause(describeExit(end));
      this.#isRestarting = false;
      const next = await this.#startAgain();
      if (next === undefined) return;
      process = next;
    }
  }

  /** Until `process` has ended, with the state as it goes. */
  async #watch(process: EtcdProcess): ReturnType<() => EtcdProcess['ended']> {
    const ended = new AbortController();
    const probing = this.#probe(ended.signal);
    const end = await process.ended;
    ended.abort();
    await probing;
    this.#process = undefined;
    return end;
  }

  async #probe(ended: AbortSignal): Promise<void> {
    while (!ended.aborted && !(await servesClients(this.#port, this.#tls, ended))) {
      await pause(this.#options.clock, PROBE_PAUSE_MS, ended);
    }
    if (ended.aborted) return;
    this.#hasServed = true;
    this.#readySinceMs = this.#options.clock.monotonic();
    this.#become('ready');
  }

  async #pause(why: string): Promise<void> {
    const { clock } = this.#options;
    const ranWell = this.#readySinceMs !== undefined && clock.monotonic() - this.#readySinceMs >= RAN_WELL_MS;
    if (ranWell) this.#backoffMs = BACKOFF_MIN_MS;
    this.#log.error({ startingAgainInMs: this.#backoffMs }, why);
    this.#become('waiting');
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await pause(clock, this.#backoffMs, woken.signal);
    this.#backoffMs = Math.min(BACKOFF_MAX_MS, this.#backoffMs * 2);
  }

  /** `undefined`: stopped meanwhile. */
  async #startAgain(): Promise<EtcdProcess | undefined> {
    while (!this.#isStopped()) {
      try {
        return await this.#spawn();
      } catch (thrown) {
        await this.#pause((thrown as Error).message);
      }
    }
    return undefined;
  }

  async #spawn(): Promise<EtcdProcess> {
    const options = this.#options;
    const port = await this.#choosePort();
    const isOther = this.#port !== 0 && port !== this.#port;
    this.#port = port;
    this.#quotaBytes = options.quotaBytes ?? (await quotaBytesIn(options.dataDir));
    const flags = etcdFlags({
      ...options,
      ...{ clientPort: port, files: this.#files, quotaBytes: this.#quotaBytes },
      snapshotCount: options.snapshotCount ?? SNAPSHOT_COUNT,
      // Once done: members added since then would be thrown out again.
      forceNewCluster: options.forceNewCluster === true && !this.#hasServed,
    });
    this.#readySinceMs = undefined;
    this.#process = spawnEtcd(options.etcdPath, flags, this.#forward);
    if (this.#isStopped()) this.#endInOrder();
    else this.#become('starting');
    if (isOther) options.onEndpoint?.(this.clientEndpoint);
    return this.#process;
  }

  /**
   * The port of before, so that clients find it again; another when etcd did not come to serve there, as what was free a
   * moment before may have been taken since, and never that of the peers.
   */
  async #choosePort(): Promise<number> {
    const failed = this.#readySinceMs === undefined ? [this.#port] : [];
    return await freePort(this.#port, [Number(new URL(this.#options.listenPeerUrl).port), ...failed]);
  }

  #endInOrder(): void {
    const process = this.#process;
    if (process === undefined) return;
    process.kill('SIGTERM');
    const cancel = this.#options.clock.after(STOP_GRACE_MS, () => process.kill('SIGKILL'));
    void process.ended.then(cancel);
  }

  #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  #become(state: EtcdMemberState): void {
    if (this.#isStopped()) return;
    this.#state = state;
    for (const look of [...this.#watchers]) look();
  }
}

async function quotaBytesIn(dataDir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dataDir);
  const database = await stat(join(dataDir, 'member', 'snap', 'db')).catch(() => undefined);
  return quotaBytesFor(bavail * bsize, database?.size ?? 0);
}
