import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import koffi from 'koffi';

/** flock(2): exclusive, and at once or not at all. */
const LOCK_EX_NB = 2 | 4;

/** Holds a state directory until released or the process ends, however it ends. */
export interface StateLock {
  release(): void;
}

/** Takes `stateDir` for this process; `failed-precondition` when another swarmd-net holds it. */
export function lockStateDir(stateDir: string): StateLock {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const flock = koffi.load(null).func('int flock(int fd, int operation)');
  const fd = openSync(join(stateDir, 'lock'), 'w', 0o600);
  if (flock(fd, LOCK_EX_NB) !== 0) {
    closeSync(fd);
    throw new SwarmdError('failed-precondition', `another swarmd-net is running on ${stateDir}`);
  }
  return { release: () => closeSync(fd) };
}
