import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKeyFile } from '@swarmd/backup';
import { bootstrapCluster, createControl } from '@swarmd/manager';
import { CLUSTER_KEY, type Control, SwarmdError } from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { manualClock, seededRandom } from '@swarmd/testkit';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { type BackupSchedule, startBackupSchedule } from '../src/backup-schedule.js';

const HOUR_MS = 3_600_000;
const logger = pino({ level: 'silent' });
const random = seededRandom(9);

/** A manager with a schedule of a day that keeps three, on a clock of its own. */
async function world(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'swarmd-schedule-'));
  const clock = manualClock();
  const store = await openStore({ log: createMemoryLog(), clock });
  await bootstrapCluster(store, { clock, random, advertiseAddr: '10.0.0.1:2377' });
  const none = (): never => {
    throw new SwarmdError('unimplemented', 'not asked for here');
  };
  const control = createControl({
    ...{ clock, random, logger, store, explain: none },
    logSource: { subscribe: none },
    tokens: { rotateJoinToken: none },
  });
  const config = { dir: join(dir, 'backups'), intervalMs: 24 * HOUR_MS, keep: 3, keyFile: join(dir, 'key') };
  const serving: { control: Control | undefined } = { control };
  let schedule: BackupSchedule | undefined;
  const start = (): BackupSchedule => {
    schedule = startBackupSchedule({ config, control: () => serving.control, clock, logger });
    return schedule;
  };
  t.teardown(async () => {
    await schedule?.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const files = (): string[] => (existsSync(config.dir) ? readdirSync(config.dir).sort() : []);
  /** Lets time pass in steps, and after each waits for what it set going. */
  const pass = async (ms: number, stepMs = HOUR_MS): Promise<void> => {
    for (let passed = 0; passed < ms; passed += stepMs) {
      clock.advance(stepMs);
      await schedule!.settled();
    }
  };
  const clusterId = store.view.get('cluster', CLUSTER_KEY)!.ClusterID;
  return { config, clock, serving, start, files, pass, clusterId };
}

t.test('backup schedule › writes one each day and keeps the newest; files of others stay', async (t) => {
  const { config, start, files, pass, clusterId } = await world(t);
  await createKeyFile(config.keyFile);
  start();
  await pass(HOUR_MS);
  t.equal(files().length, 1, 'the first at once');
  const [first] = files();
  t.match(first, new RegExp(`^swarmd-${clusterId}-\\d{8}T\\d{6}Z\\.swmbak$`));
  writeFileSync(join(config.dir, 'swarmd-otherclusterid-20200101T000000Z.swmbak'), 'another cluster’s');
  writeFileSync(join(config.dir, 'notes.txt'), '');
  writeFileSync(join(config.dir, `swarmd-${clusterId}-20200101T000000Z.swmbak.partial`), 'what a crash left');
  await pass(22 * HOUR_MS);
  t.equal(files().length, 4, 'not before the day is over');
  await pass(5 * 24 * HOUR_MS);
  const own = files().filter((name) => name.includes(clusterId));
  t.equal(own.length, 3);
  t.notOk(own.includes(first!), 'the oldest went');
  t.equal(files().length, 5, 'the rest is not ours to remove, but what a crash left is');
});

t.test('backup schedule › a swarmd that was restarted goes on with it, and a worker writes none', async (t) => {
  const { config, start, files, pass, serving } = await world(t);
  await createKeyFile(config.keyFile);
  const first = start();
  await pass(HOUR_MS);
  await first.stop();
  const { control } = serving;
  serving.control = undefined;
  start();
  await pass(30 * HOUR_MS);
  t.equal(files().length, 1, 'none while it is no manager');
  serving.control = control;
  await pass(HOUR_MS);
  t.equal(files().length, 2, 'one that was missed is made up for');
});

t.test('backup schedule › a failure is shown until it is over, and nothing is left of it', async (t) => {
  const { config, start, files, pass, serving } = await world(t);
  const schedule = start();
  await pass(HOUR_MS);
  t.match(schedule.warnings(), [/no recovery key in .*make one with "swarmctl backup create --key-file/]);
  t.same(files(), []);
  await createKeyFile(config.keyFile);
  const whole = serving.control!;
  serving.control = {
    ...whole,
    createBackup: async (secret) => {
      const pieces = await whole.createBackup(secret);
      return (async function* () {
        for await (const piece of pieces) {
          yield piece;
          throw new SwarmdError('unavailable', 'the disk is full');
        }
      })();
    },
  };
  await pass(3 * HOUR_MS);
  t.match(schedule.warnings(), [/the disk is full/]);
  t.same(files(), []);
  serving.control = whole;
  await pass(3 * HOUR_MS);
  t.same(schedule.warnings(), []);
  t.equal(files().length, 1);
});
