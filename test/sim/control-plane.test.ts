import t, { type Test } from 'tap';
import { runSeeds, type SabotageName } from './control-plane/seeds.js';
import { type ControlPlaneResult, simulateControlPlane } from './control-plane/simulation.js';

/** `SIM_SEED` (with `SIM_RUNS`, default 1) runs other seeds than the kept ones; `SIM_RUNS` alone another number of them. */
const FIRST_SEED = process.env['SIM_SEED'];
const RUNS = Number(process.env['SIM_RUNS'] ?? (FIRST_SEED === undefined ? 1_000 : 1));
const MIN_FAULTS = 5;

// Some ten minutes of processor time, of which it may get as little as others leave.
t.setTimeout(3_500_000);

/** The story of a run that failed, and how to see it again. */
function tell(t: Test, { seed, problems, transcript }: ControlPlaneResult): void {
  t.fail(`seed ${seed} failed: ${problems.join('\n')}`);
  t.comment(transcript);
  t.comment(`seed ${seed} failed; replay: SIM_SEED=${seed} node test/dist/sim/control-plane.test.js`);
}

t.test(
  'control plane › whatever fails, no write is lost, nobody goes back, networks hold together, and all comes to rest as wanted',
  async (t) => {
    const total = { seeds: 0, acknowledged: 0, leaders: 0, faults: 0, commits: 0 };
    await runSeeds(Number(FIRST_SEED ?? 1), RUNS, (result) => {
      if (result.problems.length > 0) {
        tell(t, result);
        return false;
      }
      if (result.faults < MIN_FAULTS || result.steps !== 300) t.fail(`seed ${result.seed}: ${result.faults} faults`);
      total.seeds++;
      for (const what of ['acknowledged', 'leaders', 'faults', 'commits'] as const) total[what] += result[what];
      return true;
    });
    t.comment(JSON.stringify(total));
    t.equal(total.seeds, RUNS);
    // A run in which nobody writes or leads proves nothing.
    t.ok(total.acknowledged >= 10 * RUNS, 'clients were served');
    t.ok(total.leaders >= RUNS, 'managers led');
  },
);

t.test('control plane › the same seed is the same run, to the last byte', async (t) => {
  const [once, again] = [await simulateControlPlane({ seed: 7 }), await simulateControlPlane({ seed: 7 })];
  t.equal(again.transcript, once.transcript);
  t.equal(again.digest, once.digest);
  t.not((await simulateControlPlane({ seed: 8 })).digest, once.digest);
});

/** How many seeds it may take until a defect shows. */
const SEARCHED = 200;

/** `first`: where the search begins; another seed than the first for what shows in few of them. */
function finds(defect: string, sabotage: SabotageName, first = 1): void {
  t.test(`control plane › it finds ${defect}`, async (t) => {
    let found: ControlPlaneResult | undefined;
    const onResult = (result: ControlPlaneResult): boolean => {
      if (result.problems.length > 0) found ??= result;
      return found === undefined;
    };
    await runSeeds(first, SEARCHED, onResult, sabotage);
    t.ok(found, `within ${SEARCHED} seeds`);
    t.comment(`seed ${found?.seed}: ${found?.problems[0]}`);
  });
}

finds('a log that lets former leaders write', 'withoutFence');
finds('a log that acknowledges what it has not written', 'withLostWrites');
finds('a log that does not tell followers of everything', 'withForgottenEvents');
finds('writes that are done or refused again when they are passed on again', 'withoutRequestIds', 71);
finds('tasks that start and stop before other nodes know', 'withoutGates');
finds('updates of endpoints that do not arrive', 'withLostUpdates');
finds('nodes that say that they know before they do', 'withHastyAcknowledgements');
finds('addresses that are given again at once', 'withoutRest');
