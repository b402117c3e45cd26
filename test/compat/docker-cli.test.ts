import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { whyNoHosts } from '@swarmd/testkit';
import t, { type Test } from 'tap';
import { hideKnownDifferences } from './known-differences.js';
import { files, scenarios } from './scenarios/index.js';
import { type Kept, play, title } from './support/play.js';
import type { Scenario } from './support/scenario.js';
import { createOracle, createSubject, type Side } from './support/side.js';

const skip = whyNoHosts() ?? false;
/** `docker` compares Docker Swarm with itself: what differs then is for the normaliser, not for swarmd. */
const againstItself = process.env['SWARMD_COMPAT_SUBJECT'] === 'docker';
/** Names of scenarios to play, with commas between; the first ones are always needed. */
const only = process.env['SWARMD_COMPAT_ONLY']?.split(',');

/** A look that differs is taken again, this often and after this long. */
const MOST_LOOKS = 8;
const LOOK_AGAIN_MS = 500;

// The runner bounds each file; tap's own bound is for unit tests.
t.setTimeout(0);

t.test('compat › the docker CLI sees the same as with Docker Swarm', { skip, timeout: 0 }, async (t) => {
  const name = `compat-${process.pid}`;
  const [oracle, subject] = await Promise.all([
    createOracle(`${name}-a`, files),
    (againstItself ? createOracle : createSubject)(`${name}-b`, files),
  ]);
  t.teardown(() => Promise.all([oracle[Symbol.asyncDispose](), subject[Symbol.asyncDispose]()]));
  const kept: [Kept, Kept] = [new Map(), new Map()];
  for (const scenario of scenarios) {
    if (only !== undefined && !scenario.always && !only.includes(scenario.name)) continue;
    await t.test(scenario.name, { timeout: 0 }, (t) => compare(t, scenario, [oracle, subject], kept));
  }
});

async function compare(
  t: Pick<Test, 'strictSame'>,
  scenario: Scenario,
  [oracle, subject]: readonly [Side, Side],
  [oracleKept, subjectKept]: readonly [Kept, Kept],
): Promise<void> {
  for (const step of scenario.steps) {
    const name = title(step);
    const both = async (): Promise<[unknown, unknown]> => {
      const outcomes = await Promise.all([play(oracle, step, oracleKept), play(subject, step, subjectKept)]);
      const [wanted, found] = outcomes.map((outcome) => hideKnownDifferences(name, outcome));
      return [wanted, found];
    };
    let [wanted, found] = await both();
    // Both clusters go on by themselves between two looks: what stays different is a difference.
    for (let looks = 1; looks < MOST_LOOKS && isLook(name) && !isDeepStrictEqual(wanted, found); looks++) {
      await delay(LOOK_AGAIN_MS);
      [wanted, found] = await both();
    }
    t.strictSame(found, wanted, name);
  }
}

/** Whether a command only shows: it may be asked again. */
function isLook(name: string): boolean {
  return / (ls|ps|inspect|services|logs) /.test(`${name} `) || name.startsWith('GET ');
}
