import { SwarmdError } from '@swarmd/model';

/** Which part of a store directory a finding is about, as messages name it. */
export type StorePart = 'FORMAT' | 'head' | 'db' | `db/${string}`;

/** The error for a store directory that is not as it was left: what is wrong where, and the way out. */
export function damaged(dir: string, part: StorePart, finding: string, cause?: unknown): SwarmdError {
  const wayOut =
    `Nothing was dropped silently and nothing was started. Move ${dir} aside, put a backup copy of the whole directory ` +
    'in its place (one taken while swarmd was stopped) and start again; without a copy, set up a new cluster';
  return new SwarmdError('damaged', `the store in ${dir} is damaged: ${part}: ${finding}. ${wayOut}`, { cause });
}
