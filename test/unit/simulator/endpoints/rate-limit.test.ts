import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimiter, type RateRule } from '../../../../src/simulator/endpoints/rate-limit.ts';

const fixed: RateRule = { limit: 2, windowMs: 1_000, kind: 'fixed' };
const sliding: RateRule = { ...fixed, kind: 'sliding' };

test('a fixed window begins with its first request and gives its whole budget again when it ends', () => {
  const limiter = new RateLimiter();
  const at = (nowMs: number) => limiter.take('k', fixed, nowMs);
  assert.deepEqual(at(500), { allowed: true, remaining: 1, resetMs: 1_000 });
  assert.deepEqual(at(1_400), { allowed: true, remaining: 0, resetMs: 100 });
  assert.deepEqual(at(1_499), { allowed: false, remaining: 0, resetMs: 1 });
  assert.deepEqual(at(1_500), { allowed: true, remaining: 1, resetMs: 1_000 });
  assert.deepEqual(
    limiter.windows.map(({ allowed, refused }) => [allowed, refused]),
    [
      [2, 1],
      [1, 0],
    ],
  );
});

test('a sliding window gives back one request when its oldest is a window old', () => {
  const limiter = new RateLimiter();
  const at = (nowMs: number) => limiter.take('k', sliding, nowMs).allowed;
  assert.deepEqual([at(0), at(900), at(999), at(1_000), at(1_001), at(1_900)], [true, true, false, true, false, true]);
});

test('refused requests cost nothing, budgets are apart, and a limit may change or end at any time', () => {
  const limiter = new RateLimiter();
  for (let n = 0; n < 50; n += 1) limiter.take('a', fixed, n);
  assert.equal(limiter.take('b', fixed, 50).allowed, true);
  assert.equal(limiter.take('a', { ...fixed, limit: 3 }, 60).allowed, true);
  assert.equal(limiter.take('a', { ...fixed, limit: 0 }, 70).allowed, true);
});
