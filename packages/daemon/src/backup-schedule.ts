import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { loadKeyFile, saveBackup } from '@swarmd/backup';
import { asSwarmdError, type Clock, type Control, SwarmdError } from '@swarmd/model';
import type { Logger } from 'pino';
import { backupFileName, clearPartial, listBackups, pruneBackups } from './backup-files.js';

/** After a failure the next attempt comes this soon, then twice as late each time, up to {@link RETRY_MAX_MS}. */
const RETRY_MIN_MS = 60_000;
const RETRY_MAX_MS = 3_600_000;
/** Looks again this often whether a backup is due: the wall clock may jump, and this node may become a manager. */
const LOOK_MS = 30_000;

/** The schedule as configured. */
export interface BackupScheduleConfig {
  /** Where backups are written. */
  dir: string;
  intervalMs: number;
  /** Backups of this cluster that are kept in `dir`, the newest ones. */
  keep: number;
  /** File with the recovery key (`SWMBAK-1-…`). It is never made by swarmd: a copy must lie elsewhere. */
  keyFile: string;
}

/** Regular backups of a manager. */
export interface BackupSchedule {
  /** What went wrong last, while it is not right again. */
  warnings(): string[];
  /** Resolves when no backup is under way. */
  settled(): Promise<void>;
  /** No further backups; resolves when none is under way any more. */
  stop(): Promise<void>;
}

/** What {@link startBackupSchedule} needs. */
export interface BackupScheduleDependencies {
  config: BackupScheduleConfig;
  /** This node's control while it is a manager that serves. */
  control(): Control | undefined;
  clock: Clock;
  logger: Logger;
}

/**
 * Writes a backup whenever the newest one in the folder is older than the interval, as long as this node is a manager.
 * Each manager that is told to keeps copies of its own, whoever leads: so they do not all go with one host. A failure is
 * logged, shown as a warning, and tried again.
 */
export function startBackupSchedule(deps: BackupScheduleDependencies): BackupSchedule {
  const { config, clock } = deps;
  const logger = deps.logger.child({ component: 'backup' });
  let stopped = false;
  let failure: string | undefined;
  let retryMs = RETRY_MIN_MS;
  let notBeforeMs = 0;
  let running: Promise<void> = Promise.resolve();
  let cancel = (): void => {};

  const look = async (): Promise<void> => {
    const control = deps.control();
    if (control === undefined || clock.monotonic() < notBeforeMs) return;
    try {
      if (!(await isDue(control, config, clock.now()))) return;
      await backUp(control, config, clock.now(), logger);
      failure = undefined;
      retryMs = RETRY_MIN_MS;
    } catch (error) {
      if (stopped) return;
      const reason = asSwarmdError(error).message;
      failure = `the scheduled backup to ${config.dir} fails since ${new Date(clock.now()).toISOString().slice(0, 19)}Z: ${reason}`;
      logger.error({ err: error, retryMs }, 'no backup was written');
      notBeforeMs = clock.monotonic() + retryMs;
      retryMs = Math.min(RETRY_MAX_MS, retryMs * 2);
    }
  };
  const next = (delayMs: number): void => {
    if (stopped) return;
    cancel = clock.after(delayMs, () => {
      running = look().then(() => next(Math.min(LOOK_MS, config.intervalMs)));
    });
  };
  next(0);
  return {
    warnings: () => (failure === undefined ? [] : [failure]),
    settled: () => running,
    stop: async () => {
      stopped = true;
      cancel();
      await running;
    },
  };
}

async function isDue(control: Control, { dir, intervalMs }: BackupScheduleConfig, nowMs: number): Promise<boolean> {
  const { ID } = await control.getCluster();
  const newest = (await listBackups(dir, ID)).at(-1);
  // One from the future was written before the clock was set back.
  return newest === undefined || nowMs - newest.createdMs >= intervalMs || newest.createdMs > nowMs + intervalMs;
}

async function backUp(control: Control, config: BackupScheduleConfig, nowMs: number, logger: Logger): Promise<void> {
  const { dir, keyFile, keep } = config;
  const RecoveryKey = await loadKeyFile(keyFile);
  if (RecoveryKey === undefined) {
    const advice = `make one with "swarmctl backup create --key-file ${keyFile}" and keep a copy elsewhere`;
    throw new SwarmdError('failed-precondition', `there is no recovery key in ${keyFile}: ${advice}`);
  }
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const { ID } = await control.getCluster();
  await clearPartial(dir, ID);
  const file = join(dir, backupFileName(ID, nowMs));
  const { index, bytes } = await saveBackup(file, await control.createBackup({ RecoveryKey }), { RecoveryKey });
  logger.info({ file, index, bytes }, 'backup written and checked');
  for (const removed of await pruneBackups(dir, ID, keep)) logger.info({ file: removed }, 'old backup removed');
}
