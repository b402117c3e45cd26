import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Clock } from '@swarmd/model';
import type { Namespaces } from '../parts.js';
import { TABLE } from './node-rules.js';

/** A listener to the kernel's rules. */
export interface Watch {
  close(): void;
}

const restartMs = 5_000;
const OURS = new RegExp(`delete table ip6? ${TABLE}\\b`);

/**
 * Calls `onRemoved` whenever a table of ours is removed in the namespace `host`, by `nft flush ruleset` for instance. When
 * nft ends it is started again after five seconds, and `onRemoved` called, as something may have been missed.
 */
export function watchRemovals(
  deps: { namespaces: Namespaces; clock: Clock },
  host: string,
  onRemoved: () => void,
): Watch {
  const { namespaces, clock } = deps;
  let child: ChildProcess | undefined;
  let cancel = (): void => {};
  let closed = false;
  const start = (): void => {
    const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
    const started = namespaces.inside(host, () =>
      spawn('nft', ['monitor', 'destroy', 'tables'], {
        stdio: ['ignore', 'pipe', 'ignore'],
        env: { ...process.env, LC_ALL: 'C', PATH: path },
      }),
    );
    child = started;
    // A watch alone keeps no process alive.
    started.unref();
    (started.stdout as Socket).unref();
    let line = '';
    started.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = `${line}${chunk}`.split('\n');
      line = (lines.pop() ?? '').slice(0, 1_000);
      if (lines.some((text) => OURS.test(text))) onRemoved();
    });
    let ended = false;
    const again = (): void => {
      if (closed || ended) return;
      ended = true;
      cancel = clock.after(restartMs, () => {
        start();
        onRemoved();
      });
    };
    started.on('error', again);
    started.on('close', again);
  };
  start();
  return {
    close() {
      closed = true;
      cancel();
      child?.kill('SIGKILL');
    },
  };
}
