import t from 'tap';
import { BROKEN_LINE_MS, LEADER_SILENCE_MS, MOVED_SILENCE_MS, takeoverStep } from '../src/cluster/takeover.js';

const followed = {
  ...{ leads: false, leader: { nodeId: 'one', term: 7 }, nodeId: 'two' },
  ...{ heard: true, silentMs: 0, brokenMs: undefined, leadsConsensus: false },
};

t.test('takeover › a leader that gives signs is left alone, and who leads has nobody to replace', (t) => {
  t.equal(takeoverStep(followed), 'nothing');
  t.equal(takeoverStep({ ...followed, leadsConsensus: true }), 'nothing');
  t.equal(takeoverStep({ ...followed, leads: true, silentMs: Infinity }), 'nothing');
  t.end();
});

t.test('takeover › the others are asked about one that is silent, whose line broke, or whom consensus left', (t) => {
  t.equal(takeoverStep({ ...followed, silentMs: LEADER_SILENCE_MS }), 'nothing');
  t.equal(takeoverStep({ ...followed, silentMs: LEADER_SILENCE_MS + 1 }), 'ask');
  t.equal(takeoverStep({ ...followed, brokenMs: BROKEN_LINE_MS }), 'nothing');
  t.equal(takeoverStep({ ...followed, brokenMs: BROKEN_LINE_MS + 1 }), 'ask');
  t.equal(takeoverStep({ ...followed, leadsConsensus: true, silentMs: MOVED_SILENCE_MS }), 'nothing');
  t.equal(takeoverStep({ ...followed, leadsConsensus: true, silentMs: MOVED_SILENCE_MS + 1 }), 'ask');
  t.end();
});

t.test('takeover › who has just begun to lead is given the time to be heard', (t) => {
  const fresh = { ...followed, heard: false, leadsConsensus: true };
  t.equal(takeoverStep({ ...fresh, silentMs: MOVED_SILENCE_MS + 1 }), 'nothing');
  t.equal(takeoverStep({ ...fresh, brokenMs: BROKEN_LINE_MS + 1 }), 'ask');
  t.equal(takeoverStep({ ...fresh, silentMs: LEADER_SILENCE_MS + 1 }), 'ask');
  t.end();
});

t.test('takeover › without a leader, or when that is an earlier self, the place is claimed', (t) => {
  t.equal(takeoverStep({ ...followed, leader: undefined, heard: false }), 'claim');
  t.equal(takeoverStep({ ...followed, nodeId: 'one', heard: false }), 'claim');
  t.end();
});
