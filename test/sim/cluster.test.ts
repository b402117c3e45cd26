import t, { type Test } from 'tap';
import { type SimulationOptions, simulate } from './support/simulation.js';

/** `SIM_SEED` (with `SIM_RUNS`, default 1) runs other seeds than the kept ones, and says more about what happened. */
const FIRST_SEED = process.env['SIM_SEED'];
const RUNS = process.env['SIM_RUNS'] ?? (FIRST_SEED === undefined ? undefined : '1');

// Half a minute of work; many more on a machine that is busy with other things.
t.setTimeout(1_200_000);

const CALM: Omit<SimulationOptions, 'seed'> = { nodes: 4, steps: 30, slowMs: 0, resyncs: false, turmoil: false };

/** Stops at the first seed that fails, and tells its story. */
async function runSeeds(t: Test, runs: number, options: Omit<SimulationOptions, 'seed'>): Promise<void> {
  const first = Number(FIRST_SEED ?? 1);
  for (let seed = first; seed < first + Number(RUNS ?? runs); seed++) {
    const transcriptLines = FIRST_SEED === undefined ? 60 : 500;
    const { problems, transcript, commits } = await simulate({ ...options, seed, transcriptLines });
    t.equal(problems.join('\n'), '', `seed ${seed}, ${commits} commits`);
    if (problems.length === 0) continue;
    t.comment(transcript);
    return;
  }
}

t.test(
  'cluster › without a resync it comes to rest as its services want it, whatever happens to nodes and tasks',
  (t) => runSeeds(t, 30, CALM),
);

t.test('cluster › so it does when loops and managers restart, lose power, write slowly and see the clock jump', (t) =>
  runSeeds(t, 25, { ...CALM, nodes: 6, steps: 50, slowMs: 40, turmoil: true }),
);

t.test('cluster › resyncs once a minute disturb nothing', (t) =>
  runSeeds(t, 10, { ...CALM, steps: 40, slowMs: 10, resyncs: true }),
);
