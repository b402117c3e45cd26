import { type FileHandle, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Logger } from 'pino';

/** Rewritten once it holds this many lines more than four for each live key. */
const SLACK_LINES = 1_000;

/** A small durable map: JSON values by key, written behind, many changes in one sync. */
export interface Journal {
  get(key: string): unknown;
  /** Entries whose key starts with `prefix`. */
  entries(prefix: string): [key: string, value: unknown][];
  put(key: string, value: unknown): void;
  delete(key: string): void;
  /** Removes everything. */
  clear(): void;
  /** Resolves when all that was put is on the disk. Rejects when it could not be written. */
  flush(): Promise<void>;
  /** Flushes and closes. */
  close(): Promise<void>;
}

/**
 * Opens the journal at `path`. A line that was cut off by a crash is dropped; a file damaged in any other way is set
 * aside as `path.damaged`, said so, and the journal starts empty: whoever uses it must be able to live with that.
 */
export async function openJournal(path: string, logger: Logger): Promise<Journal> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  let { live, damaged } = await load(path);
  if (damaged) {
    logger.error(
      { path: `${path}.damaged` },
      'the agent’s state file is damaged: it is set aside, containers are adopted by label',
    );
    await rename(path, `${path}.damaged`);
    live = new Map();
  }
  const writer = new JournalWriter(path, live, logger);
  await writer.rewrite();
  return {
    get: (key) => live.get(key),
    entries: (prefix) => [...live].filter(([key]) => key.startsWith(prefix)),
    put: (key, value) => {
      live.set(key, value);
      writer.changed(key);
    },
    delete: (key) => {
      if (live.delete(key)) writer.changed(key);
    },
    clear: () => {
      const keys = [...live.keys()];
      live.clear();
      for (const key of keys) writer.changed(key);
    },
    flush: () => writer.flush(),
    close: () => writer.close(),
  };
}

class JournalWriter {
  readonly #path: string;
  readonly #live: ReadonlyMap<string, unknown>;
  readonly #logger: Logger;
  readonly #changed = new Set<string>();
  #file: FileHandle | undefined;
  #lines = 0;
  /** Bytes of whole lines. */
  #size = 0;
  #writing: Promise<void> | undefined;

  constructor(path: string, live: ReadonlyMap<string, unknown>, logger: Logger) {
    this.#path = path;
    this.#live = live;
    this.#logger = logger;
  }

  changed(key: string): void {
    this.#changed.add(key);
    // Whoever flushes hears of a failure; a write behind tries again with the next change.
    this.flush().catch((err: unknown) => this.#logger.error({ err }, 'the agent’s state could not be written'));
  }

  /** One write at a time; what changes meanwhile goes with the next. */
  async flush(): Promise<void> {
    while (this.#changed.size > 0 || this.#writing !== undefined) {
      this.#writing ??= this.#write().finally(() => {
        this.#writing = undefined;
      });
      await this.#writing;
    }
  }

  async #write(): Promise<void> {
    // Lets the changes of this turn of the event loop go together.
    await new Promise((resolve) => setImmediate(resolve));
    const keys = [...this.#changed];
    this.#changed.clear();
    try {
      if (this.#lines > 4 * this.#live.size + SLACK_LINES) return await this.rewrite();
      const lines = Buffer.from(keys.map((key) => encode(key, this.#live.get(key))).join(''));
      await this.#file?.appendFile(lines);
      await this.#file?.datasync();
      this.#lines += keys.length;
      this.#size += lines.length;
    } catch (error) {
      for (const key of keys) this.#changed.add(key);
      // Half a line may be in the file: nothing must be put behind it.
      await this.#file?.truncate(this.#size);
      throw error;
    }
  }

  /** Writes all that is live into a new file and puts it in the old one's place. */
  async rewrite(): Promise<void> {
    await rm(`${this.#path}.new`, { force: true });
    const next = await open(`${this.#path}.new`, 'ax', 0o600);
    const lines = Buffer.from([...this.#live].map(([key, value]) => encode(key, value)).join(''));
    try {
      await next.writeFile(lines);
      await next.sync();
      await rename(`${this.#path}.new`, this.#path);
    } catch (error) {
      await next.close();
      await rm(`${this.#path}.new`, { force: true });
      throw error;
    }
    const old = this.#file;
    this.#file = next;
    this.#lines = this.#live.size;
    this.#size = lines.length;
    await old?.close();
    const folder = await open(dirname(this.#path), 'r');
    await folder.sync().finally(() => folder.close());
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#file?.close();
    this.#file = undefined;
  }
}

/** A line: checksum, space, JSON of `[key, value]`, or of `[key]` for a removal. */
function encode(key: string, value: unknown): string {
  const json = JSON.stringify(value === undefined ? [key] : [key, value]);
  return `${checksum(json)} ${json}\n`;
}

function checksum(json: string): string {
  return crc32(json).toString(16).padStart(8, '0');
}

async function load(path: string): Promise<{ live: Map<string, unknown>; damaged: boolean }> {
  await rm(`${path}.new`, { force: true });
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const live = new Map<string, unknown>();
  const lines = text.split('\n');
  // What follows the last newline was being written when the machine died.
  lines.pop();
  for (const line of lines) {
    const json = line.slice(9);
    if (line.slice(0, 8) !== checksum(json)) return { live, damaged: true };
    const [key, value] = JSON.parse(json) as [string, unknown?];
    if (value === undefined) live.delete(key);
    else live.set(key, value);
  }
  return { live, damaged: false };
}
