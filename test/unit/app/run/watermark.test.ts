import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Watermark, clockAt, newestSupported } from '../../../../src/app/run/watermark.ts';

const NOW = Date.UTC(2026, 0, 27, 19, 20, 12);

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** @param timesMs in serving order */
function newest(...timesMs: readonly number[]): number | null {
  return newestSupported(Float64Array.from(timesMs), NOW, HOUR_MS);
}

/** Events a minute apart, newest first. */
function minutely(newestMs: number, count: number): number[] {
  return Array.from({ length: count }, (_, n) => newestMs - n * 60_000);
}

void test('the newest time is believed up to the clock of the API', () => {
  assert.equal(newest(NOW - 5_000, NOW - 90_000), NOW - 5_000);
  assert.equal(newest(NaN, NOW - 9_000, NOW - 5_000, NaN), NOW - 5_000);
  assert.equal(newest(NOW - 5_000), NOW - 5_000);
});

void test('within the second that the clock cuts off, the clock is taken', () => {
  assert.equal(newest(NOW + 600, NOW - 90_000), NOW);
});

void test('an event from 2099 hides nothing: what it is far from is taken', () => {
  assert.equal(newest(Date.UTC(2099, 0, 1), ...minutely(NOW - 90_000, 100)), NOW - 90_000);
});

void test('times just beyond the clock, without a gap: the last time of their page is taken', () => {
  assert.equal(newest(...minutely(NOW + 600_000, 100)), NOW + 600_000 - 99 * 60_000);
});

void test('a few events far newer than data that lags behind the clock hide nothing', () => {
  const lagging = NOW - 30 * DAY_MS;
  assert.equal(newest(NOW - DAY_MS, ...minutely(lagging, 100)), lagging);
  const nextDays = Array.from({ length: 20 }, (_, n) => lagging + (21 - n) * DAY_MS);
  assert.equal(newest(...nextDays, ...minutely(lagging, 100)), lagging);
});

void test('where all events are far apart, a few of them are looked at twice', () => {
  const daily = Array.from({ length: 100 }, (_, n) => NOW - n * DAY_MS);
  assert.equal(newest(...daily), NOW - 25 * DAY_MS);
  assert.equal(newest(NOW - DAY_MS, NOW - 3 * DAY_MS), NOW - 3 * DAY_MS);
});

void test('a gap far below the top is none of its business', () => {
  assert.equal(newest(...minutely(NOW, 50), NOW - 9 * DAY_MS), NOW);
});

void test('a page of nothing but the future, or without times, says nothing of how new the data is', () => {
  assert.equal(newest(Date.UTC(2099, 0, 1), Date.UTC(2098, 0, 1)), null);
  assert.equal(newest(NaN), null);
  assert.equal(newest(), null);
});

void test('where the API does not say how late it is, our clock does', () => {
  assert.equal(clockAt({ serverDateMs: NOW, receivedAtMs: NOW + 7_000 }), NOW);
  assert.equal(clockAt({ serverDateMs: null, receivedAtMs: NOW }), NOW);
});

void test('nothing is caught up with below what the run looks at', () => {
  const run = { newestMs: null, serverDateMs: null, watermarkMs: null, lookbackMs: HOUR_MS };
  for (const incrementalSinceMs of [NOW - DAY_MS, null]) {
    const watermark = new Watermark({ ...run, incrementalSinceMs });
    watermark.note(NOW, Float64Array.from([...minutely(NOW - 5_000, 20), ...minutely(NOW - 9 * DAY_MS, 80)]));
    assert.equal(watermark.beginCatchUp(), incrementalSinceMs ?? NOW - 9 * DAY_MS);
  }
});

void test('a list with its oldest record first says at its end how new it is', () => {
  const run = {
    newestMs: null,
    serverDateMs: null,
    watermarkMs: null,
    lookbackMs: HOUR_MS,
    incrementalSinceMs: null,
  };
  const walked = (...pages: readonly (readonly number[])[]): Watermark => {
    const watermark = new Watermark(run);
    for (const page of pages) watermark.noteBeforeEnd(NOW, Float64Array.from(page));
    watermark.noteEnd();
    return watermark;
  };
  const oldestFirst = minutely(NOW - 90_000, 30).reverse();
  assert.equal(walked(oldestFirst, [NaN]).ms, NOW - 90_000);
  assert.equal(walked(oldestFirst, []).newestMs, NOW - 90_000);
  // A page of its own, far above all others, or in the future.
  assert.equal(
    walked(
      oldestFirst.map((timeMs) => timeMs - 30 * DAY_MS),
      [NOW - DAY_MS],
    ).ms,
    NOW - 90_000 - 30 * DAY_MS,
  );
  assert.equal(walked(oldestFirst, [Date.UTC(2099, 0, 1)]).ms, NOW - 90_000);
  assert.equal(walked([]).ms, null);
});
