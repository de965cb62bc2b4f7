/** The cursor is a shortcut, the position is the truth: jobs some or all of whose cursors die. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ingestAll, pageRequests, sceneFor } from '../../support/ingestion-scene.ts';
import { assertExact } from '../../support/exact-target.ts';
import { ingest } from '../../support/ingestion.ts';

/** Seconds: the cursor is dead before it can be sent back. */
const DEAD_AT_ONCE = 0.001;

for (const staleAs of ['400', '410', '502'] as const) {
  void test(`a run whose every cursor is dead (${staleAs}) goes on by time to the end`, async (t) => {
    const { counts, simulator } = await ingestAll(t, { events: 6_000, cursorTtl: DEAD_AT_ONCE, staleAs, latency: 2 });
    assert.equal(counts.inserted, 6_000);
    assert.ok(simulator.stats().staleCursors > 3);
    assert.ok(pageRequests(simulator) < 60, `${pageRequests(simulator)} requests for 12 pages`);
  });
}

void test('a walk by time alone passes an instant that nearly fills a page', async (t) => {
  await ingestAll(t, { events: 5_000, distribution: 'ties', tieSize: 450, cursorTtl: DEAD_AT_ONCE });
});

void test('times in every format, to the microsecond, anchor a walk without a loss', async (t) => {
  await ingestAll(t, {
    events: 6_000,
    timestamps: ['iso-micros', 'nanos', 'digits', 'seconds'],
    cursorTtl: DEAD_AT_ONCE,
  });
});

void test('events with wrong times or without any do not make a walk by time skip others', async (t) => {
  const { counts } = await ingestAll(
    t,
    { events: 8_000, badTimes: 0.002, cursorTtl: 0.05, latency: 10, seed: 11 },
    { BATCH_SIZE: '200' },
  );
  assert.equal(counts.inserted, 8_000);
});

void test('a walk does not go on from an event dated far back at the end of a page', async (t) => {
  // The last event of the first page is three years back: going on from there would skip everything between.
  const rawEvents = [199, 599, 600].map((position, index) => ({
    position,
    raw: JSON.stringify({ id: `00000000-0000-4000-8000-00000000000${index}`, timestamp: 1_669_541_612_369 }),
    occurredAtMicros: 1_669_541_612_369_000,
  }));
  const faultPlan = [{ on: 'stream' as const, nth: 2, fault: 'stale-cursor' as const }];
  const scene = await sceneFor(t, { events: 6_000, rawEvents, faultPlan });
  const { log } = await ingest(scene.target, { BATCH_SIZE: '200' });
  await assertExact(scene);
  assert.ok(log.some((line) => line.includes('walking one chain')));
});

void test('more events at one instant than a page holds, without a living cursor, end the job with code 4 and the reason', async (t) => {
  const scene = await sceneFor(t, { events: 3_000, distribution: 'instant', cursorTtl: DEAD_AT_ONCE });
  const { exitCode, error } = await ingest(scene.target);
  assert.equal(exitCode, 4);
  assert.match(error?.message ?? '', /more events than a page holds share one instant/);
});

for (const fault of ['stale-cursor', 'no-cursor'] as const) {
  void test(`a walk through a larger instant than a page holds begins it again after ${fault}, twice, and ends`, async (t) => {
    const { counts } = await ingestAll(t, {
      events: 5_000,
      distribution: 'instant',
      faultPlan: [9, 20].map((nth) => ({ on: 'stream', nth, fault })),
    });
    assert.equal(counts.inserted, 5_000);
  });
}

void test('a walk over events without times begins at the top again when its cursor dies, and ends', async (t) => {
  await ingestAll(t, { events: 5_000, badTimes: 1, faultPlan: [{ on: 'stream', nth: 9, fault: 'stale-cursor' }] });
});

void test('without time windows, a walk whose cursor died begins at the top again, and ends', async (t) => {
  const { simulator, counts } = await ingestAll(t, {
    events: 8_000,
    streamAccess: 'absent',
    faultPlan: [5, 12, 20].map((nth) => ({ on: 'events', nth, fault: 'stale-cursor' })),
  });
  assert.equal(counts.inserted, 8_000);
  assert.ok(pageRequests(simulator) < 50, `${pageRequests(simulator)} requests`);
});

void test('without time windows and without times, a walk whose cursor died begins at the top, and ends', async (t) => {
  await ingestAll(t, {
    events: 3_000,
    streamAccess: 'absent',
    badTimes: 1,
    faultPlan: [4, 9].map((nth) => ({ on: 'events', nth, fault: 'stale-cursor' })),
  });
});

void test('without time windows and without a living cursor, the job ends with code 4 and the reason', async (t) => {
  const scene = await sceneFor(t, { events: 3_000, streamAccess: 'absent', cursorTtl: DEAD_AT_ONCE });
  const { exitCode, error } = await ingest(scene.target);
  assert.equal(exitCode, 4);
  assert.match(error?.message ?? '', /each time a stale cursor, or answers that contradict each other, ended the walk/);
  assert.ok(pageRequests(scene.simulator) < 30);
});

void test('an endpoint that repeats its pages for ever ends the run', async (t) => {
  const scene = await sceneFor(t, { events: 3_000, distribution: 'instant', faults: { 'same-cursor': 1 } });
  const { exitCode, error } = await ingest(scene.target);
  assert.equal(exitCode, 4);
  assert.match(error?.message ?? '', /no new event/);
});
