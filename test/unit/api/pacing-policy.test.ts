import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacingPolicy } from '../../../src/api/pacing-policy.ts';
import { NOTHING_SAID, type RateLimitNotice } from '../../../src/api/rate-limit-headers.ts';
import { UNLIMITED } from '../../support/pacing/virtual-limits.ts';
import { runPolicy } from '../../support/pacing/virtual-pacing.ts';

const unlimited = { limit: () => UNLIMITED, headers: 'none', retryAfter: false } as const;

function policyThatWasServed(notice: Partial<RateLimitNotice> = {}): PacingPolicy {
  const policy = new PacingPolicy({ maxRps: null });
  policy.answered(policy.started(0), 'served', { ...NOTHING_SAID, ...notice }, 1);
  return policy;
}

test('where there is no limit nothing is slowed', () => {
  const { grantedMs } = runPolicy(
    new PacingPolicy({ maxRps: null }),
    unlimited,
    { count: 8, latencyMs: 4 },
    { ms: 10_000 },
  );
  assert.ok(grantedMs.length >= 8 * (10_000 / 4) - 16, `${grantedMs.length} requests`);
});

test('--max-rps caps the rate', () => {
  const { startsMs } = runPolicy(
    new PacingPolicy({ maxRps: 20 }),
    unlimited,
    { count: 8, latencyMs: 4 },
    { ms: 60_000 },
  );
  assert.ok(startsMs.length >= 1_180 && startsMs.length <= 1_202, `${startsMs.length} requests in a minute`);
});

test('while nothing is known of the budget one request goes ahead', () => {
  const policy = new PacingPolicy({ maxRps: null });
  const first = policy.started(0);
  assert.ok(policy.nextStartMs(1) > 1_000, 'a second request may start before the first was answered');
  policy.answered(first, 'served', NOTHING_SAID, 50);
  assert.ok(policy.nextStartMs(51) <= 51);
});

test('a first request that never ends does not hold up the others for ever', () => {
  const policy = new PacingPolicy({ maxRps: null });
  policy.started(0);
  assert.ok(policy.nextStartMs(1) <= 10_000);
});

test('what is left goes at once, and then nothing before the reset', () => {
  const policy = policyThatWasServed({ limit: 10, remaining: 3, resetMs: 60_000 });
  for (let left = 3; left > 0; left -= 1) {
    assert.ok(policy.nextStartMs(2) <= 2, `${left} left, and none may start`);
    policy.started(2);
  }
  assert.equal(policy.nextStartMs(2), 60_000);
});

test('a refusal pauses everybody as long as it says, however many requests bring the news', () => {
  const policy = policyThatWasServed();
  const tickets = Array.from({ length: 5 }, () => policy.started(2));
  for (const ticket of tickets) policy.answered(ticket, 'refused', { ...NOTHING_SAID, retryAfterMs: 5_000 }, 10);
  assert.equal(policy.pausedUntilMs(11), 5_010);
  assert.equal(policy.nextStartMs(11), 5_010);
});

test('after pauses that did not help one request goes ahead, and the rest follow when it was served', () => {
  const policy = policyThatWasServed();
  for (const nowMs of [1_000, 3_000, 5_000]) {
    policy.answered(policy.started(nowMs), 'refused', { ...NOTHING_SAID, retryAfterMs: 1_000 }, nowMs + 1);
  }
  const ahead = policy.started(7_000);
  assert.ok(policy.nextStartMs(7_001) > 8_000);
  policy.answered(ahead, 'served', NOTHING_SAID, 7_100);
  assert.ok(policy.nextStartMs(7_101) <= 7_101);
});

test('one refusal without a word stops nobody for long', () => {
  const policy = policyThatWasServed();
  const [refused, later] = [policy.started(2), policy.started(2)];
  policy.answered(refused, 'refused', NOTHING_SAID, 10);
  policy.answered(later, 'served', NOTHING_SAID, 11);
  assert.ok(policy.nextStartMs(12) <= 12);
});

test('`Retry-After: 0` is no loop as fast as the network', () => {
  const policy = policyThatWasServed();
  policy.answered(policy.started(2), 'refused', { ...NOTHING_SAID, retryAfterMs: 0 }, 10);
  assert.equal(policy.nextStartMs(11), 1_010);
});

test('a cached answer costs no budget, and its old headers are not believed', () => {
  const policy = policyThatWasServed({ limit: 10, remaining: 1, resetMs: 60_000 });
  const cached = policy.started(2);
  policy.answered(cached, 'cached', { ...NOTHING_SAID, limit: 10, remaining: 0, resetMs: 1_000 }, 3);
  assert.ok(policy.nextStartMs(4) <= 4, 'the cached answer took what was left');
});

test('a pause that is asked for without a refusal is kept', () => {
  const policy = policyThatWasServed();
  policy.pauseUntil(3_000);
  assert.equal(policy.nextStartMs(2), 3_000);
});
