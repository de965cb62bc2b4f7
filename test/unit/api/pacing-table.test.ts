/**
 * The pacer's table in virtual time: a policy against an oracle that knows the limit. `npm run bench -- --suite pacing` runs all of
 * its cases; here each kind of API meets one of the eight groups of callers.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PacingPolicy } from '../../../src/api/pacing-policy.ts';
import { TABLE, sample } from '../../support/pacing/pacing-table.ts';
import { MORE_EPISODES, SHORTFALLS } from '../../support/pacing/shortfalls.ts';
import { createLimit } from '../../support/pacing/virtual-limits.ts';
import { compare, runPolicy } from '../../support/pacing/virtual-pacing.ts';

/** Over the oracle's time. */
const LIVE_TIME = 1.05;
/** Of refusals, a window. */
const MOST_EPISODES = 2;

for (const row of TABLE) {
  test(`${row.name}: ${row.atLeast * 100} % of what an oracle gets`, () => {
    for (const one of sample(row)) {
      const { share, times, episodesAWindow, intoPause } = compare(new PacingPolicy({ maxRps: null }), one);
      const short = SHORTFALLS.find(({ cases }) => cases.test(one.name)) ?? { share: row.atLeast, times: Infinity };
      assert.ok(
        share >= short.share && times <= short.times,
        `${one.name}: ${share} of the oracle, ${times} times as long`,
      );
      const most = MORE_EPISODES.find(({ cases }) => cases.test(one.name))?.episodes ?? MOST_EPISODES;
      if (row.countsEpisodes) assert.ok(episodesAWindow <= most, `${one.name}: ${episodesAWindow} episodes`);
      assert.equal(intoPause, 0, `${one.name}: requests into a pause`);
    }
  });
}

test('the live service: 600 requests take hardly longer than an oracle, told or not how long to wait', () => {
  for (const retryAfter of [true, false]) {
    for (const count of [8, 16]) {
      const api = { limit: () => createLimit('fixed', 200, 300_000), headers: 'none', retryAfter } as const;
      const callers = { count, latencyMs: 3_500, jitter: 0.1 };
      const { times } = compare(new PacingPolicy({ maxRps: null }), { name: 'live', api, callers, requests: 600 });
      assert.ok(times <= LIVE_TIME, `${count} callers, Retry-After ${retryAfter}: ${times} times as long`);
    }
  }
});

test('a limit that others used up before the first request costs no more than its window', () => {
  const api = {
    limit: () => createLimit('fixed', 10, 10_000),
    headers: 'seconds',
    retryAfter: true,
    usedUp: true,
  } as const;
  const callers = { count: 8, latencyMs: 50, beginMs: 1_000 };
  const { grantedMs } = runPolicy(new PacingPolicy({ maxRps: null }), api, callers, { granted: 20, ms: 100_000 });
  assert.ok((grantedMs.at(-1) ?? Infinity) < 22_000, `${grantedMs.at(-1)}`);
});

const scenario = fc.record({
  kind: fc.constantFrom('fixed', 'grid', 'sliding', 'bucket'),
  limit: fc.integer({ min: 10, max: 300 }),
  windowMs: fc.integer({ min: 5_000, max: 300_000 }),
  headers: fc.constantFrom('none', 'seconds', 'draft-08'),
  retryAfter: fc.boolean(),
  count: fc.integer({ min: 4, max: 16 }),
  latencyMs: fc.integer({ min: 20, max: 200 }),
  seed: fc.integer(),
} as const);

test('any limit is used, also one that nobody thought of, and its pauses are kept', () => {
  fc.assert(
    fc.property(scenario, ({ kind, limit, windowMs, headers, retryAfter, count, latencyMs, seed }) => {
      const api = { limit: () => createLimit(kind, limit, windowMs, windowMs / 3), headers, retryAfter };
      const callers = { count, latencyMs, jitter: 0.2, lateMs: latencyMs / 20, seed };
      const { times, intoPause } = compare(new PacingPolicy({ maxRps: null }), {
        name: kind,
        api,
        callers,
        requests: limit * 10,
      });
      // The worst that is known: hidden, sliding, 237 in 5 s, 10 callers, 92 ms: 1.68.
      assert.ok(times <= (headers === 'none' ? 1.8 : 1.4), `${times} times as long`);
      assert.equal(intoPause, 0);
    }),
    { numRuns: 60 },
  );
});
