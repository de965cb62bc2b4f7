import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacingPolicy } from '../../../src/api/pacing-policy.ts';
import type { RateLimitNotice } from '../../../src/api/rate-limit-headers.ts';
import { runVirtually, type Callers, type VirtualApi } from './virtual-api.ts';

const HOUR_MS = 3_600_000;
const CALLERS: Callers = { count: 8, latencyMs: 100, jitterMs: 20, forMs: HOUR_MS };
const KINDS = ['fixed', 'sliding'] as const;
const silent: RateLimitNotice = { limit: null, remaining: null, resetMs: null, retryAfterMs: null };

function documented(limit: number, windowMs: number, kind: VirtualApi['kind']): VirtualApi {
  return { limit, windowMs, kind, headers: true, retryAfter: 'seconds' };
}

function hidden(
  limit: VirtualApi['limit'],
  windowMs: number,
  kind: VirtualApi['kind'],
  retryAfter: VirtualApi['retryAfter'],
): VirtualApi {
  return { limit, windowMs, kind, headers: false, retryAfter };
}

test('of a limit that the API names at least 97 % is used and at most 1 % refused, whatever the window', () => {
  for (const kind of KINDS) {
    for (const [limit, windowMs] of [
      [10, 60_000],
      [10, 30_000],
      [50, 10_000],
      [100, 60_000],
    ] as const) {
      for (const rounding of [Math.ceil, Math.floor, Math.round]) {
        const figures = runVirtually({ ...documented(limit, windowMs, kind), rounding }, CALLERS);
        const name = `${limit} in ${windowMs} ms, ${kind}, ${rounding.name}`;
        assert.ok(figures.usedShare >= 0.97, `${name}: ${figures.usedShare} used`);
        assert.ok(figures.refusedShare <= 0.01, `${name}: ${figures.refusedShare} refused`);
      }
    }
  }
});

test('requests that overtake each other on the way do not change that', () => {
  for (const kind of KINDS) {
    const figures = runVirtually(documented(50, 10_000, kind), { ...CALLERS, jitterMs: 150 });
    assert.ok(
      figures.usedShare >= 0.97 && figures.refusedShare <= 0.01,
      `${figures.usedShare}, ${figures.refusedShare}`,
    );
  }
});

test('requests are spread over the window, not sent at its edges', () => {
  const { starts } = runVirtually(documented(10, 60_000, 'fixed'), CALLERS);
  const gaps = starts.slice(2).map((start, i) => start - (starts[i + 1] ?? 0));
  assert.ok(Math.min(...gaps) > 5_000, `two requests ${Math.min(...gaps)} ms apart`);
});

test('of a hidden limit at least 90 % is used, with and without Retry-After', () => {
  for (const kind of KINDS) {
    for (const retryAfter of ['seconds', 'missing'] as const) {
      for (const [limit, windowMs] of [
        [50, 10_000],
        [200, 300_000],
        [10, 60_000],
        [37, 7_000],
      ] as const) {
        const figures = runVirtually(hidden(limit, windowMs, kind, retryAfter), CALLERS);
        const name = `${limit} in ${windowMs} ms, ${kind}, Retry-After ${retryAfter}`;
        assert.ok(figures.usedShare >= 0.9, `${name}: ${figures.usedShare} used`);
        assert.ok(figures.refusedShare <= 0.1, `${name}: ${figures.refusedShare} refused`);
      }
    }
  }
});

test('ten minutes are enough for that, learning included, however requests fall', () => {
  for (const kind of KINDS) {
    for (const retryAfter of ['seconds', 'date', 'missing'] as const) {
      for (let seed = 1; seed <= 20; seed += 1) {
        const callers = { ...CALLERS, latencyMs: 30, seed, forMs: 600_000 };
        const { usedShare } = runVirtually(hidden(25, 5_000, kind, retryAfter), callers);
        assert.ok(usedShare >= 0.9, `${kind}, Retry-After ${retryAfter}, seed ${seed}: ${usedShare} used`);
      }
    }
  }
});

test('an API without a limit that refuses one request in a hundred all the same is not slowed but by its pauses', () => {
  for (const count of [4, 8, 16]) {
    for (let seed = 1; seed <= 4; seed += 1) {
      const api = {
        limit: 0,
        windowMs: 1,
        kind: 'fixed',
        headers: false,
        retryAfter: 'missing',
        refusedAtRandom: 0.01,
      } as const;
      const figures = runVirtually(api, { count, latencyMs: 50, jitterMs: 10, seed, forMs: 600_000 });
      // A hundred requests, then the pause, then the one request that goes ahead.
      const cycleMs = (100 * 55) / count + 400 * 1.05 + 110;
      const possible = (600_000 / cycleMs) * 100;
      assert.ok(figures.allowed >= 0.8 * possible, `${count} callers, seed ${seed}: ${figures.allowed} of ${possible}`);
    }
  }
});

test('a limit that changes is noticed, named or hidden', () => {
  for (const kind of KINDS) {
    for (const headers of [true, false]) {
      for (const [first, second] of [
        [10, 100],
        [100, 10],
      ] as const) {
        const limit = (nowMs: number): number => (nowMs < HOUR_MS / 2 ? first : second);
        const figures = runVirtually({ ...hidden(limit, 10_000, kind, 'seconds'), headers }, { ...CALLERS, count: 16 });
        const possible = ((first + second) / 2) * (HOUR_MS / 10_000);
        const name = `${first} then ${second}, ${kind}, headers ${headers}`;
        assert.ok(figures.allowed / possible >= 0.88, `${name}: ${figures.allowed / possible} used`);
        assert.ok(figures.refusedShare <= 0.02, `${name}: ${figures.refusedShare} refused`);
      }
    }
  }
});

test('what somebody else with the same key leaves is used, and seldom more than that', () => {
  for (const kind of KINDS) {
    const figures = runVirtually({ ...documented(50, 10_000, kind), foreignRps: 2 }, CALLERS);
    assert.ok(figures.usedShare >= 0.5, `${figures.usedShare} of the 60 % that were left`);
    assert.ok(figures.refusedShare <= 0.01, `${figures.refusedShare} refused`);
  }
});

test('where there is no limit nothing is slowed', () => {
  const figures = runVirtually(
    { limit: 0, windowMs: 1, kind: 'fixed', headers: false, retryAfter: 'missing' },
    { count: 8, latencyMs: 4, forMs: 10_000 },
  );
  assert.ok(figures.allowed >= 8 * (10_000 / 4) - 16, `${figures.allowed} requests`);
});

test('--max-rps caps the rate', () => {
  const figures = runVirtually(
    { limit: 0, windowMs: 1, kind: 'fixed', headers: false, retryAfter: 'missing' },
    { count: 8, latencyMs: 4, forMs: 60_000, maxRps: 20 },
  );
  assert.ok(figures.allowed >= 1_180 && figures.allowed <= 1_202, `${figures.allowed} requests in a minute`);
});

test('while nothing is known of the budget one request goes ahead', () => {
  const policy = new PacingPolicy({ maxRps: null });
  const first = policy.started(0);
  assert.ok(policy.nextStartMs(1) > 1_000, 'a second request may start before the first was answered');
  policy.answered(first, 'served', silent, 50);
  assert.ok(policy.nextStartMs(51) <= 51);
});

test('a first request that never ends does not hold up the others for ever', () => {
  const policy = new PacingPolicy({ maxRps: null });
  policy.started(0);
  assert.ok(policy.nextStartMs(1) <= 10_000);
});

test('a refusal pauses everybody once, however many requests bring the news', () => {
  const policy = new PacingPolicy({ maxRps: null, random: () => 0 });
  policy.answered(policy.started(0), 'served', silent, 1);
  const tickets = Array.from({ length: 5 }, () => policy.started(2));
  for (const ticket of tickets) policy.answered(ticket, 'refused', { ...silent, retryAfterMs: 5_000 }, 10);
  assert.equal(policy.pausedUntilMs(11), 5_010);
  assert.equal(policy.nextStartMs(11), 5_010);
});

test('jitter only lengthens a pause', () => {
  for (const random of [0, 0.5, 0.999]) {
    const policy = new PacingPolicy({ maxRps: null, random: () => random });
    policy.answered(policy.started(0), 'refused', { ...silent, retryAfterMs: 10_000 }, 0);
    const untilMs = policy.pausedUntilMs(1) ?? 0;
    assert.ok(untilMs >= 10_000 && untilMs <= 11_000, `${untilMs}`);
  }
});

test('after a pause one request goes ahead and the rest follow when it was answered', () => {
  const policy = new PacingPolicy({ maxRps: null, random: () => 0 });
  policy.answered(policy.started(0), 'refused', { ...silent, retryAfterMs: 1_000 }, 0);
  const probe = policy.started(1_000);
  assert.ok(policy.nextStartMs(1_001) > 2_000);
  policy.answered(probe, 'refused', { ...silent, retryAfterMs: 1_000 }, 1_100);
  assert.equal(policy.nextStartMs(1_101), 2_100);
});

test('a cached answer costs no budget, and its old headers are not believed', () => {
  const policy = new PacingPolicy({ maxRps: null });
  const notice = { limit: 10, remaining: 9, resetMs: 60_000, retryAfterMs: null };
  policy.answered(policy.started(0), 'served', notice, 10);
  const next = policy.nextStartMs(10);
  const cached = policy.started(next);
  policy.answered(cached, 'cached', { ...notice, remaining: 0, resetMs: 1_000 }, next + 1);
  assert.ok(policy.nextStartMs(next + 1) <= next + 1, 'the cached answer took a place in the division');
});

test('a pause that is asked for without a refusal is kept', () => {
  const policy = new PacingPolicy({ maxRps: null });
  policy.answered(policy.started(0), 'served', silent, 1);
  policy.pauseUntil(3_000, 1);
  assert.equal(policy.nextStartMs(2), 3_000);
});
