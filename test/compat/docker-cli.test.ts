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
    const [wanted, found] = await Promise.all([play(oracle, step, oracleKept), play(subject, step, subjectKept)]);
    const name = title(step);
    t.strictSame(hideKnownDifferences(name, found), hideKnownDifferences(name, wanted), name);
  }
}
