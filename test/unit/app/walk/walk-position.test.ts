import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WalkPosition } from '../../../../src/app/walk/walk-position.ts';
import { readTimes } from '../../../../src/encode/rows/served-events.ts';

const HOUR_MS = 3_600_000;
const START = { sinceMs: null, untilMs: null, anchorMs: null, lastEventMs: null, edge: null, pageEndMs: null };

function page(times: readonly number[]): Parameters<WalkPosition['note']>[0] {
  const timesMs = Float64Array.from(times);
  return { times: readTimes(timesMs), servedCount: times.length, places: { timesMs } };
}

/** Events a second apart, newest first. */
function descending(fromMs: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => fromMs - index * 1_000);
}

function walkOf(bounds: Partial<typeof START> | { sinceMs?: number; untilMs?: number } = {}): WalkPosition {
  return new WalkPosition({ ...START, ...bounds }, { pageSize: 20 });
}

void test('a page whose times descend is walked to its last event, and anchored half of it higher', () => {
  const walk = walkOf();
  walk.note(page(descending(1_000_000, 20)));
  assert.equal(walk.anchorMs, 991_000);
  assert.equal(walk.walkedToMs, 981_000);
  assert.equal(walk.eventsPerMs, 20 / 19_000);
});

void test('the anchor lags behind the end by 25 events of the chain, however small its pages are', () => {
  const walk = walkOf();
  for (const fromMs of Array.from({ length: 100 }, (_, index) => 1_000_000 - index * 1_000)) walk.note(page([fromMs]));
  assert.equal(walk.walkedToMs, 901_000);
  assert.equal(walk.anchorMs, 926_000);
});

void test('an end is asked about from a quarter of a page above it, and from 25 events at most', () => {
  const walk = walkOf();
  for (let page5 = 0; page5 < 20; page5 += 1) walk.note(page(descending(1_000_000 - page5 * 5_000, 5)));
  assert.equal(walk.anchorMs, 926_000);
  walk.approachEnd(5_000);
  assert.equal(walk.anchorMs, 926_000);
  walk.approachEnd(8);
  assert.equal(walk.anchorMs, 903_000);
  walk.approachEnd(1);
  assert.equal(walk.anchorMs, 901_000);
});

void test('an end is asked about by time also where a page was mostly below the bound, and no anchor was found', () => {
  const walk = walkOf({ sinceMs: 995_000 });
  walk.note(page([1_000_000, 999_000, 900_000, 800_000, 700_000, 600_000]));
  assert.deepEqual([walk.anchorMs, walk.servedToMs], [null, 999_000]);
  walk.approachEnd(6);
  assert.equal(walk.topMs, 999_000);
});

void test('each chain by time gets below the anchor that it began at, also by one event', () => {
  const walk = walkOf();
  walk.note(page(descending(1_000_000, 20)));
  for (const count of [20, 2, 3, 2]) {
    const fromMs = walk.anchorMs ?? 0;
    walk.beginAgain();
    walk.note(page(descending(fromMs, count)));
    assert.ok((walk.anchorMs ?? 0) < fromMs, `${count} events from ${fromMs} down: ${walk.anchorMs ?? 0}`);
  }
});

void test('an anchor is never earlier than the event, whose time has microseconds', () => {
  const walk = walkOf();
  walk.note(page([900.001]));
  assert.equal(walk.anchorMs, 901);
});

void test('a page with a wrong clock in it is anchored a few events before its end, where nothing is left out', () => {
  const walk = walkOf();
  const times = descending(1_000_000, 20);
  times[3] = 5;
  walk.note(page(times));
  assert.equal(walk.anchorMs, 991_000);
});

void test('a wrong clock at the end of a page, early or late, leaves nothing out either', () => {
  for (const wrongMs of [5, -900 * HOUR_MS, 7_000_000_000]) {
    const walk = walkOf({ untilMs: 3_000_000 });
    walk.note(page(descending(2_000_000, 20)));
    walk.note(page([...descending(1_980_000, 19), wrongMs]));
    assert.ok((walk.anchorMs ?? 0) >= 1_962_000, `anchored at ${walk.anchorMs ?? 0} after ${wrongMs}`);
  }
});

void test('the far side of a gap is believed when it is said twice', () => {
  const walk = walkOf();
  const times = [...descending(9_000 * HOUR_MS, 19), 1_000];
  walk.note(page(times));
  assert.notEqual(walk.walkedToMs, 1_000);
  walk.note(page(times));
  assert.equal(walk.walkedToMs, 1_000);
});

void test('times outside of the window, or above what was walked, do not move it', () => {
  const walk = walkOf({ sinceMs: 500_000, untilMs: 1_000_000 });
  walk.note(page(descending(900_000, 20)));
  walk.note(page(descending(990_000, 20)));
  walk.note(page(descending(300_000, 20)));
  assert.equal(walk.walkedToMs, 881_000);
});

void test('a page without a valid time changes nothing', () => {
  const walk = walkOf();
  walk.note(page(Array.from({ length: 20 }, () => Number.NaN)));
  assert.equal(walk.anchorMs, null);
  assert.equal(walk.isPastWindow({ times: null, servedCount: 20 }), false);
});

void test('a walk ends with the first page of a hundred that are all older than its window', () => {
  const walk = walkOf({ sinceMs: 500_000 });
  const last = page(descending(499_000, 100));
  walk.note(last);
  assert.equal(walk.isPastWindow(last), true);
});

void test('sixty older events may have come late: newer ones behind them are waited for', () => {
  const walk = walkOf({ sinceMs: 500_000 });
  const late = [0, 20, 40].map((from) => page(descending(400_000 - from * 1_000, 20)));
  const inside = page(descending(600_000, 20));
  const isPast = [...late, inside, ...late].map((each) => {
    walk.note(each);
    return walk.isPastWindow(each);
  });
  assert.deepEqual(new Set(isPast), new Set([false]));
  assert.equal(walk.isPastWindow(page(descending(300_000, 40))), true);
});

void test('an event within a millisecond of the border is inside', () => {
  const walk = walkOf({ sinceMs: 500_000 });
  const border = page([499_999, ...descending(499_000, 19)]);
  walk.note(border);
  assert.equal(walk.isPastWindow(border), false);
});

void test('an endpoint that serves the oldest first is never left by its times', () => {
  const walk = walkOf({ sinceMs: 5_000_000 });
  const ascending = page(descending(1_000_000, 20).reverse());
  walk.note(ascending);
  assert.equal(walk.isPastWindow(ascending), false);
});

void test('pages that lie wholly above a window are recognised: an endpoint without bounds begins with them', () => {
  const walk = walkOf({ untilMs: 500_000 });
  assert.equal(walk.isAboveWindow(page(descending(900_000, 20))), true);
  assert.equal(walk.isAboveWindow(page(descending(510_000, 20))), false);
  assert.equal(walkOf().isAboveWindow(page(descending(900_000, 20))), false);
});

void test('what must be served again is the oldest event inside the window, also when a page reaches below it', () => {
  const walk = walkOf({ sinceMs: 990_000 });
  const reaching = page(descending(1_000_000, 20));
  walk.note(reaching);
  assert.equal(walk.reachesBelow(reaching), true);
  assert.equal(walk.servedToMs, 990_000);
});

void test('a page that descends through the lower bound is anchored at its last event above it', () => {
  const walk = walkOf({ sinceMs: 990_000 });
  walk.note(page(descending(1_000_000, 30)));
  assert.equal(walk.anchorMs, 990_000);
});

void test('a few events below the bound, whose clocks may be wrong, move no anchor', () => {
  const walk = walkOf({ sinceMs: 900_000 });
  walk.note(page([...descending(1_000_000, 20), 900_500, ...descending(5_000, 5)]));
  assert.equal(walk.anchorMs, null);
});

void test('the end is near when two more pages would reach below the window', () => {
  const walk = walkOf({ sinceMs: 910_000 });
  assert.equal(walk.isNearEnd, true, 'nothing is known yet');
  walk.note(page(descending(1_000_000, 20)));
  assert.equal(walk.isNearEnd, false);
  walk.note(page(descending(960_000, 20)));
  assert.equal(walk.isNearEnd, true);
});
