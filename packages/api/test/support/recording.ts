import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One request of the docker CLI and what a real Swarm answered. */
export interface Exchange {
  method: string;
  url: string;
  requestHeaders: Record<string, string>;
  requestBody?: unknown;
  status: number;
  responseHeaders: Record<string, string>;
  responseBody: unknown;
}

/** What one docker command said to a real Swarm of one node (CLI 28.2, engine 20.10). Repeats are left out. */
export interface Recording {
  command: string;
  exchanges: Exchange[];
}

const FOLDER = join(import.meta.dirname, '../../../test/fixtures');

/** All recordings, by command. */
export function recordings(): Recording[] {
  const files = readdirSync(FOLDER).sort();
  return files.map((file) => JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as Recording);
}

/** Path and query of a recorded URL, without the version. */
export function parseUrl(url: string): { path: string; query: URLSearchParams } {
  const { pathname, searchParams } = new URL(url.replace(/^\/v[\d.]+/, ''), 'http://docker');
  return { path: pathname, query: searchParams };
}

/** Long lists are cut in the recordings and end with such a text. */
const ELLIPSIS = /^\u2026 \d+ more$/;

function byId(a: unknown, b: unknown): number {
  const [first, second] = [a, b].map((item) => String((item as { ID?: string } | null)?.ID ?? ''));
  return first! < second! ? -1 : first! > second! ? 1 : 0;
}

const VOLATILE = new Set(['Version', 'CreatedAt', 'UpdatedAt', 'Created', 'IPAMOptions']);

/**
 * A body without what differs from run to run, and without what one engine release writes and another does not:
 * nulls, and a privilege that grants nothing. Lists are ordered by ID.
 */
export function comparable(value: unknown): unknown {
  if (Array.isArray(value))
    return value
      .filter((item) => !(typeof item === 'string' && ELLIPSIS.test(item)))
      .map(comparable)
      .sort(byId);
  if (value === null || typeof value !== 'object') return value;
  const result: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) {
    if (member === null || VOLATILE.has(key) || (key === 'NoNewPrivileges' && member === false)) continue;
    result[key] = comparable(member);
  }
  return result;
}
