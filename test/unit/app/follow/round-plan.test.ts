import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RoundPlan } from '../../../../src/app/follow/round-plan.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** A plan after a proof at moment 0, when the API counted 100. */
function provenPlan(options: { lookbackMs?: number } = {}): RoundPlan {
  const plan = new RoundPlan({ intervalMs: 30_000, lookbackMs: HOUR_MS, proveEveryMs: 24 * HOUR_MS, ...options });
  plan.noteDone('proof', 100, true, 0);
  return plan;
}

const nothing = { fresh: 0, isFull: false, total: 100 };

test('nothing is done where nothing is new, and what is new is taken', () => {
  const plan = provenPlan();
  assert.equal(plan.taskAfter(nothing, MINUTE_MS), 'nothing');
  assert.equal(plan.taskAfter({ fresh: 3, isFull: false, total: 103 }, MINUTE_MS), 'new-events');
});

test('the lookback is walked every quarter of itself, but not where the count has stood still', () => {
  const plan = provenPlan();
  assert.equal(plan.taskAfter(nothing, HOUR_MS), 'nothing');
  assert.equal(plan.taskAfter({ ...nothing, total: null }, HOUR_MS), 'lookback');
  plan.noteDone('new-events', 103, true, MINUTE_MS);
  assert.equal(plan.taskAfter({ ...nothing, total: 103 }, 14 * MINUTE_MS), 'nothing');
  assert.equal(plan.taskAfter({ ...nothing, total: 103 }, 15 * MINUTE_MS), 'lookback');
  plan.noteDone('lookback', 103, true, 15 * MINUTE_MS);
  assert.equal(plan.taskAfter({ fresh: 1, isFull: false, total: 104 }, 29 * MINUTE_MS), 'new-events');
  assert.equal(plan.taskAfter({ fresh: 1, isFull: false, total: 104 }, 30 * MINUTE_MS), 'lookback');
});

test('growth that no new event explains leads to the lookback, until it has led to nothing', () => {
  const plan = provenPlan();
  const grown = { fresh: 1, isFull: false, total: 103 };
  assert.equal(plan.taskAfter(grown, MINUTE_MS), 'lookback');
  plan.noteDone('lookback', 103, false, MINUTE_MS);
  assert.equal(plan.taskAfter({ ...nothing, total: 120 }, 2 * MINUTE_MS), 'nothing');
  plan.noteDone('nothing', 120, false, 2 * MINUTE_MS);
  assert.equal(plan.taskAfter({ ...nothing, total: 120 }, 15 * MINUTE_MS), 'nothing');
  assert.equal(plan.taskAfter({ ...nothing, total: 120 }, 16 * MINUTE_MS), 'lookback');
  plan.noteDone('proof', 120, false, 3 * MINUTE_MS);
  assert.equal(plan.taskAfter({ ...nothing, total: 121 }, 4 * MINUTE_MS), 'lookback');
  assert.equal(plan.taskAfter({ fresh: 10, isFull: true, total: 300 }, 4 * MINUTE_MS), 'new-events');
  assert.equal(provenPlan({ lookbackMs: 0 }).taskAfter(grown, HOUR_MS), 'new-events');
});

test('a proof is due a day after the last one, whenever this process has begun', () => {
  const plan = provenPlan();
  assert.equal(plan.taskAfter(nothing, 24 * HOUR_MS - 1), 'nothing');
  assert.equal(plan.taskAfter(nothing, 24 * HOUR_MS), 'proof');
  plan.proofWas(20 * HOUR_MS, HOUR_MS);
  assert.equal(plan.isProofDue(5 * HOUR_MS - 1), false);
  assert.equal(plan.isProofDue(5 * HOUR_MS), true);
  plan.proofWas(Infinity, HOUR_MS);
  assert.equal(plan.isProofDue(HOUR_MS), true);
});

test('while rounds fail the API is asked once a minute, and what a round has cost is paid back', () => {
  const plan = provenPlan();
  assert.deepEqual(
    [1, 1, 1, 0, 5, 1_000].map((requests) => plan.noteFailed(requests)),
    [30_000, MINUTE_MS, MINUTE_MS, MINUTE_MS, 5 * MINUTE_MS, 10 * MINUTE_MS],
  );
  assert.equal(plan.failures, 6);
  plan.noteDone('nothing', 100, false, HOUR_MS);
  assert.equal(plan.noteFailed(1), 30_000);
});
