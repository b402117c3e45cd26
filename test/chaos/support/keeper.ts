import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Host, Lab } from '@swarmd/testkit';
import { swarmdEntry } from '../../e2e/support/cluster.js';

/** What a service manager lets pass before it starts a swarmd again that has ended; systemd's unit has two seconds. */
const RESTART_DELAY_MS = 1_000;

/** Runs one host's swarmd as a service manager does: again, whenever it has ended. */
export interface Keeper {
  /** From now on swarmd is to run. */
  keep(): void;
  /** From now on it is not to; kills it with SIGKILL and waits until it is gone. */
  drop(): Promise<void>;
  /** Sends a signal to swarmd itself; nothing when it does not run. */
  signal(name: NodeJS.Signals): void;
  /** How often it was started. */
  readonly starts: number;
  /** Moves the clock that this swarmd sees by `seconds` from the true time. Throws without libfaketime. */
  setClock(seconds: number): void;
  readonly log: string;
}

/** A keeper that does nothing yet. `fakeTime` is the path of libfaketime, if there is one. */
export function createKeeper(lab: Lab, host: Host, fakeTime: string | undefined): Keeper {
  mkdirSync(join(lab.directory, 'logs'), { recursive: true });
  const logFile = join(lab.directory, 'logs', `${host.name}.log`);
  const clockFile = join(lab.directory, `clock-${host.name}`);
  writeFileSync(clockFile, '+0\n');
  const state = { wanted: false, starts: 0, child: undefined as ChildProcess | undefined };
  const env = fakeTime === undefined ? {} : clockEnvironment(fakeTime, clockFile);
  const run = async (): Promise<void> => {
    while (state.wanted) {
      if (host.running) {
        const output = openSync(logFile, 'a');
        state.starts++;
        state.child = host.spawn([process.execPath, '--enable-source-maps', swarmdEntry], {
          stdio: ['ignore', output, output],
          env,
        });
        await once(state.child, 'exit');
        state.child = undefined;
      }
      await delay(RESTART_DELAY_MS);
    }
  };
  let running: Promise<void> = Promise.resolve();
  return {
    keep: () => {
      if (state.wanted) return;
      state.wanted = true;
      running = running.then(run);
      // A failure here is one of the test's own machinery: nothing of the run would mean anything.
      running.catch((error: unknown) => setImmediate(() => Promise.reject(error)));
    },
    drop: async () => {
      state.wanted = false;
      const { child } = state;
      if (child === undefined) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      // The helper in front of a stopped process is stopped too.
      process.kill(child.pid!, 'SIGCONT');
      await ended;
    },
    signal: (name) => {
      const { child } = state;
      if (child?.pid === undefined) return;
      child.kill(name);
      if (name === 'SIGCONT') process.kill(child.pid, name);
    },
    get starts() {
      return state.starts;
    },
    setClock: (seconds) => {
      if (fakeTime === undefined) throw new Error('clocks cannot be moved here: libfaketime is missing');
      writeFileSync(`${clockFile}.new`, `${seconds < 0 ? '' : '+'}${seconds}\n`);
      renameSync(`${clockFile}.new`, clockFile);
    },
    get log() {
      return readFileSync(logFile, 'utf8');
    },
  };
}

/**
 * Wall time alone, read again every second. What swarmd starts gets it as well, but programs in Go, such as etcd, ask
 * the kernel past the C library and do not notice.
 */
function clockEnvironment(library: string, clockFile: string): NodeJS.ProcessEnv {
  return {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: clockFile,
    FAKETIME_CACHE_DURATION: '1',
    DONT_FAKE_MONOTONIC: '1',
    FAKETIME_DISABLE_SHM: '1',
    NO_FAKE_STAT: '1',
  };
}
