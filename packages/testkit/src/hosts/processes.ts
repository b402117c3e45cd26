import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { SwarmdError } from '@swarmd/model';
import { run } from './command.js';

/** One process of this machine, told from a later one with the same number by its start time and the boot. */
export interface ProcessIdentity {
  pid: number;
  /** Clock ticks between boot and start; field 22 of /proc/PID/stat. */
  startTicks: string;
  bootId: string;
}

/** The identity of a running process; null when there is none with that number, or it is only a zombie. */
export function identify(pid: number): ProcessIdentity | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name stands in brackets and may hold spaces and brackets itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return null;
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return { pid, startTicks: fields[19] ?? '', bootId };
  } catch {
    return null;
  }
}

/** True while exactly this process runs. */
export function isAlive(identity: ProcessIdentity | null): boolean {
  if (!identity) return false;
  const now = identify(identity.pid);
  return now !== null && now.startTicks === identity.startTicks && now.bootId === identity.bootId;
}

/** Process IDs of the direct children of a process, as the caller's PID namespace numbers them. */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Kills a process and waits until it is gone; one that is gone already is fine. */
export async function killAndWait(identity: ProcessIdentity, timeoutMs = 20_000): Promise<void> {
  if (!isAlive(identity)) return;
  try {
    process.kill(identity.pid, 'SIGKILL');
  } catch {
    return;
  }
  await until(() => !isAlive(identity), { timeoutMs, what: `process ${identity.pid} to end` });
}

/** Kills every process whose network namespace is the named one. */
export async function killNamespace(namespace: string): Promise<void> {
  const listed = await run(['ip', 'netns', 'pids', namespace]).catch(() => '');
  const identities = listed.split('\n').filter(Boolean).map(Number).map(identify);
  await Promise.all(identities.filter((identity) => identity !== null).map((identity) => killAndWait(identity)));
}

/** How long to wait for a condition, and the words for the error when it never holds. */
export interface UntilOptions {
  timeoutMs: number;
  what: string;
  signal?: AbortSignal;
  intervalMs?: number;
}

/** Polls a condition until it holds; rejects after `timeoutMs` with what was waited for, or when aborted. */
export async function until(condition: () => boolean | Promise<boolean>, options: UntilOptions): Promise<void> {
  const deadline = performance.now() + options.timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline)
      throw new SwarmdError('deadline-exceeded', `waited ${options.timeoutMs} ms for ${options.what}`);
    await delay(options.intervalMs ?? 25, undefined, options.signal ? { signal: options.signal } : {});
  }
}
