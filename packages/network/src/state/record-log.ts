import { constants } from 'node:fs';
import { copyFile, type FileHandle, mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { SwarmdError } from '@swarmd/model';
import type { Logger } from 'pino';

/** A record's new value; `undefined` removes it. Values are JSON and must not be changed once they are here. */
export type RecordChange = readonly [key: string, value: unknown];

/** Records by key, in memory and in a file that only grows until it is worth writing anew. */
export interface RecordLog {
  /** What was read, and all that was written since. */
  readonly records: ReadonlyMap<string, unknown>;
  /** Whether the file existed. */
  readonly existed: boolean;
  /** Whether some of the file could not be read: what `records` holds may be old, and records may be missing. */
  readonly damaged: boolean;
  /**
   * Changes `records` at once; resolves when that is on the disk. What is written together is read together or not at
   * all, and writes that wait share one sync. Rejects with `unavailable` when the disk refuses: the next write tries again.
   */
  write(changes: readonly RecordChange[]): Promise<void>;
  /** Waits for what was written. */
  close(): Promise<void>;
}

/** Below this a file is never worth writing anew. */
const REWRITE_FROM_BYTES = 4 * 1024 * 1024;
/** Characters of the file written at a time while it is written anew: the engine must not wait for all of it. */
const REWRITE_SLICE = 256 * 1024;

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * Opens the log at `path`, makes it (and its directory) when it is missing. A line is a checksum and one write's changes.
 * Lines that do not match their checksum are left out; the damaged file is kept as `<path>.damaged`.
 */
export async function openRecordLog(path: string, logger: Logger): Promise<RecordLog> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new SwarmdError('unavailable', `cannot read ${path}: ${error.message}`, { cause: error });
  });
  const { records, damaged } = readLines(text ?? '');
  if (damaged) {
    await copyFile(path, `${path}.damaged`).catch(() => {});
    logger.warn(
      { path, records: records.size },
      'the state is damaged: what can be read of it is used until it is told anew',
    );
  }
  const log = new FileRecordLog(path, records, { existed: text !== undefined, damaged });
  if (text === undefined || damaged) await log.rewrite();
  else await log.continueAt(Buffer.byteLength(text));
  return log;
}

/** The records of a log's text, the last write of a key counting, and whether lines of it make no sense. */
export function readLines(text: string): { records: Map<string, unknown>; damaged: boolean } {
  const records = new Map<string, unknown>();
  const lines = text.split('\n');
  let damaged = lines.pop() !== '';
  for (const line of lines) {
    const changes = readLine(line);
    if (changes === undefined) damaged = true;
    else for (const change of changes) remember(records, change);
  }
  return { records, damaged };
}

function readLine(line: string): RecordChange[] | undefined {
  const json = line.slice(9);
  if (line[8] !== ' ' || line.slice(0, 8) !== checksum(json)) return undefined;
  try {
    return JSON.parse(json) as RecordChange[];
  } catch {
    return undefined;
  }
}

function remember(records: Map<string, unknown>, [key, value]: RecordChange): void {
  if (value === undefined || value === null) records.delete(key);
  else records.set(key, value);
}

function checksum(json: string): string {
  return crc32(json).toString(16).padStart(8, '0');
}

function lineOf(changes: readonly RecordChange[]): string {
  const json = JSON.stringify(changes.map(([key, value]) => [key, value ?? null]));
  return `${checksum(json)} ${json}\n`;
}

class FileRecordLog implements RecordLog {
  readonly existed: boolean;
  readonly damaged: boolean;
  readonly #path: string;
  readonly #records: Map<string, unknown>;
  /** By key, so that a disk that does not answer holds up no more than there is. */
  #pending = new Map<string, unknown>();
  #waiters: Waiter[] = [];
  #flushing: Promise<void> | undefined;
  #file: FileHandle | undefined;
  #sizeBytes = 0;
  #rewriteAtBytes = REWRITE_FROM_BYTES;

  constructor(path: string, records: Map<string, unknown>, found: { existed: boolean; damaged: boolean }) {
    this.#path = path;
    this.#records = records;
    this.existed = found.existed;
    this.damaged = found.damaged;
  }

  get records(): ReadonlyMap<string, unknown> {
    return this.#records;
  }

  write(changes: readonly RecordChange[]): Promise<void> {
    if (changes.length === 0) return Promise.resolve();
    for (const change of changes) {
      remember(this.#records, change);
      this.#pending.set(change[0], change[1]);
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  async close(): Promise<void> {
    await this.#flushing;
    await this.#file?.close();
    this.#file = undefined;
  }

  /** Goes on with the file as it is. */
  async continueAt(sizeBytes: number): Promise<void> {
    this.#file = await open(this.#path, 'a');
    this.#sizeBytes = sizeBytes;
    this.#rewriteAtBytes = Math.max(REWRITE_FROM_BYTES, 2 * sizeBytes);
  }

  /** Writes all records to a new file, which takes the place of the old one once it is on the disk. */
  async rewrite(): Promise<void> {
    const fresh = `${this.#path}.new`;
    const file = await open(
      fresh,
      constants.O_CREAT | constants.O_TRUNC | constants.O_WRONLY | constants.O_APPEND,
      0o600,
    );
    try {
      let sizeBytes = 0;
      let slice = '';
      // A snapshot: what is written meanwhile is appended after it, in its own line.
      for (const entry of [...this.#records]) {
        slice += lineOf([entry]);
        if (slice.length < REWRITE_SLICE) continue;
        sizeBytes += await append(file, slice);
        slice = '';
      }
      sizeBytes += await append(file, slice);
      await file.sync();
      await rename(fresh, this.#path);
      await syncDirectory(dirname(this.#path));
      await this.#file?.close().catch(() => {});
      this.#file = file;
      this.#sizeBytes = sizeBytes;
      this.#rewriteAtBytes = Math.max(REWRITE_FROM_BYTES, 2 * sizeBytes);
    } catch (error) {
      await file.close().catch(() => {});
      throw error;
    }
  }

  async #flush(): Promise<void> {
    // One turn later, so that calls of the same moment share a sync.
    await Promise.resolve();
    while (this.#waiters.length > 0) {
      const [changes, waiters] = [[...this.#pending], this.#waiters];
      this.#pending = new Map();
      this.#waiters = [];
      try {
        await this.#store(changes);
        for (const waiter of waiters) waiter.resolve();
      } catch (error) {
        const reason = new SwarmdError('unavailable', `cannot write ${this.#path}: ${(error as Error).message}`, {
          cause: error,
        });
        for (const waiter of waiters) waiter.reject(reason);
      }
    }
    this.#flushing = undefined;
  }

  async #store(changes: readonly RecordChange[]): Promise<void> {
    if (this.#file === undefined || this.#sizeBytes > this.#rewriteAtBytes) return this.rewrite();
    try {
      this.#sizeBytes += await append(this.#file, lineOf(changes));
      await this.#file.datasync();
    } catch (error) {
      // Half a line may be there now: nothing is appended to it, the next write makes a new file.
      await this.#file.close().catch(() => {});
      this.#file = undefined;
      throw error;
    }
  }
}

async function append(file: FileHandle, text: string): Promise<number> {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done)).bytesWritten;
  return bytes.length;
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
