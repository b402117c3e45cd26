import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeCall, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { tellOnFailure } from '../e2e/support/shared-cluster.js';
import { type RunReport, runChaos } from './support/run.js';
import { FAULT_KINDS, type FaultKind } from './support/schedule.js';
import { createWorld, type World } from './support/world.js';

const skip = whyNoHosts() ?? false;

/**
 * CHAOS_SEED draws other faults, CHAOS_MINUTES hurts for longer, CHAOS_MANAGERS and CHAOS_WORKERS are the hosts,
 * CHAOS_HURT how many managers may be hurt at a time, CHAOS_FAULTS names the kinds of faults (all by default), CHAOS_LOGS
 * a folder for the transcript, every call and the logs of all swarmds, of runs that pass as well.
 */
const setting = (name: string, otherwise: number): number => Number(process.env[`CHAOS_${name}`] ?? otherwise);
const seed = setting('SEED', 20261);
const seconds = setting('MINUTES', 1.5) * 60;
const managers = setting('MANAGERS', 3);
const workers = setting('WORKERS', 2);
/** A minority; the only manager there is may be hurt too, and nothing must be lost by it. */
const maxHurtManagers = setting('HURT', Math.max(1, Math.floor((managers - 1) / 2)));

/** Few, for a machine that has hardly any time for it. */
const CLIENT_WRITES = 10;

t.setTimeout((seconds + 900) * 1000);

t.test('chaos › nothing acknowledged is lost, nothing is there twice, everything converges', { skip }, async (t) => {
  const world = await createWorld({ managers, workers });
  t.teardown(() => world[Symbol.asyncDispose]());
  tellOnFailure(t, { lab: world.lab, hosts: world.lab.hosts });
  t.comment(`seed ${seed}, ${managers} managers, ${workers} workers, ${seconds} s`);
  if (!world.movesClocks) t.comment('clocks stay: libfaketime is missing');
  const lines: string[] = [];
  t.teardown(() => {
    if (!t.passing()) console.error([`CHAOS_SEED=${seed}`, ...lines].join('\n'));
  });
  const say = (line: string): void => {
    lines.push(line);
    t.comment(line);
  };
  const report = await runChaos(world, { seed, seconds, kinds: kindsOf(world), maxHurtManagers, say });
  const bad = report.verdicts.filter(({ kind }) => kind !== 'linearizable');
  const told = bad.map((verdict) => (verdict.kind === 'violation' ? verdict.report : `${verdict.key}: undecided`));
  t.same(told, [], 'the history of each object is linearizable');
  t.same(report.versions.problems, [], 'no version goes back, no name is there twice');
  t.same(report.problems, [], 'no task and no slot ran twice');
  t.same(report.notes.surprises, [], 'no call is refused that is in order');
  const acknowledged = report.notes.acknowledgedAt.length;
  t.ok(acknowledged > CLIENT_WRITES, `${acknowledged} writes were acknowledged`);
  t.ok(report.versions.looks > 0, `${report.versions.looks} lists were looked at`);
  t.ok(report.lives.length > 10, `${report.lives.length} containers ran`);
  say(summaryOf(report));
  const folder = process.env['CHAOS_LOGS'];
  if (folder !== undefined) keep(folder, world, report, lines);
});

function keep(folder: string, { lab }: World, { calls, lives }: RunReport, lines: readonly string[]): void {
  const kept = join(folder, `seed-${seed}`);
  mkdirSync(kept, { recursive: true });
  cpSync(join(lab.directory, 'logs'), kept, { recursive: true });
  writeFileSync(join(kept, 'transcript'), `${lines.join('\n')}\n`);
  writeFileSync(join(kept, 'calls'), calls.map((call) => `${describeCall(call)}\n`).join(''));
  writeFileSync(join(kept, 'containers.json'), JSON.stringify(lives, null, 1));
}

function kindsOf({ movesClocks }: World): FaultKind[] {
  const asked = process.env['CHAOS_FAULTS']?.split(',');
  const all = Object.keys(FAULT_KINDS) as FaultKind[];
  // A manager that is alone has no etcd.
  const impossible: FaultKind[] = [
    ...(movesClocks ? [] : (['clock'] as const)),
    ...(managers > 1 ? [] : (['kill-etcd', 'stop-etcd'] as const)),
  ];
  return all.filter((kind) => (asked?.includes(kind) ?? true) && !impossible.includes(kind));
}

/** How many calls were answered how, and for how long no write was acknowledged at worst. */
function summaryOf({ calls, notes }: RunReport): string {
  const counts = new Map<string, number>();
  for (const { action, answer } of calls) {
    const name = `${action.kind} ${answer.kind}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const times = [...notes.acknowledgedAt].sort((a, b) => a - b);
  const gaps = times.slice(1).map((to, index) => ({ from: times[index]!, to }));
  const longest = gaps.reduce((most, gap) => (gap.to - gap.from > most.to - most.from ? gap : most), {
    from: 0,
    to: 0,
  });
  const [from, to] = [longest.from, longest.to].map((ms) => (ms / 1000).toFixed(1));
  const answers = [...counts].sort().map(([name, count]) => `${name} ${count}`);
  return `${answers.join(', ')}; no write was acknowledged for longest from ${from} to ${to} s`;
}
