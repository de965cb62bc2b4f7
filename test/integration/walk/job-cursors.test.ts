/** The cursor is a shortcut, the position is the truth: jobs whose cursors die, all of them or some. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertExact } from '../../support/exact-target.ts';
import { ingestAll, ingestInto, pageRequests, sceneFor } from '../../support/ingestion-scene.ts';
import { ingest } from '../../support/ingestion.ts';

/** Seconds: gone before it can be sent back. */
const DEAD_AT_ONCE = 0.001;

for (const staleAs of ['400', '410', '502'] as const) {
  void test(`a run whose every cursor is dead when it is used, said as ${staleAs}, goes on by time to the end`, async (t) => {
    const { books, simulator } = await ingestAll(t, { events: 6_000, cursorTtl: DEAD_AT_ONCE, staleAs, latency: 2 });
    assert.equal(books.inserted, 6_000);
    assert.ok(simulator.stats().staleCursors > 3);
    assert.ok(pageRequests(simulator) < 60, `${pageRequests(simulator)} requests for 12 pages`);
  });
}

void test('nearly a page of events that share an instant are passed by time alone', async (t) => {
  await ingestAll(t, { events: 5_000, distribution: 'ties', tieSize: 450, cursorTtl: DEAD_AT_ONCE });
});

void test('times in every notation, to the microsecond, anchor a walk without a loss', async (t) => {
  await ingestAll(t, {
    events: 6_000,
    timestamps: ['iso-micros', 'nanos', 'digits', 'seconds'],
    cursorTtl: DEAD_AT_ONCE,
  });
});

void test('events with wrong clocks and without any do not make a walk by time jump over others', async (t) => {
  const { books } = await ingestAll(
    t,
    { events: 8_000, badTimes: 0.002, cursorTtl: 0.05, latency: 10, seed: 11 },
    { BATCH_SIZE: '200' },
    { values: false },
  );
  assert.equal(books.inserted, 8_000);
});

void test('an event dated far back at the end of a page is no place to go on from', async (t) => {
  // The last of the first page of 200, three years back: an anchor there would leave out everything between.
  const rawEvents = [199, 599, 600].map((position, index) => ({
    position,
    raw: JSON.stringify({ id: `00000000-0000-4000-8000-00000000000${index}`, timestamp: 1_669_541_612_369 }),
    occurredAtMicros: 1_669_541_612_369_000,
  }));
  const scene = await sceneFor(t, { events: 6_000, rawEvents, cursorTtl: DEAD_AT_ONCE });
  const { database, simulator } = await ingestInto(scene, { BATCH_SIZE: '200' });
  await assertExact(database, simulator, { values: false });
});

void test('more events at one instant than a page holds, and no cursor that lives, end with code 4 and the reason', async (t) => {
  const scene = await sceneFor(t, { events: 3_000, distribution: 'instant', cursorTtl: DEAD_AT_ONCE });
  const { exitCode, error } = await ingest(scene.target);
  assert.equal(exitCode, 4);
  assert.match(error?.message ?? '', /more events than a page holds share one instant/);
});

for (const fault of ['stale-cursor', 'no-cursor'] as const) {
  void test(`more events at one instant than a page holds: ${fault} far down, twice, begins at the instant again and ends`, async (t) => {
    const { books } = await ingestAll(t, {
      events: 5_000,
      distribution: 'instant',
      faultPlan: [9, 20].map((nth) => ({ on: 'stream', nth, fault })),
    });
    assert.equal(books.inserted, 5_000);
  });
}

void test('a cursor that dies far down events without times begins at the top again and ends', async (t) => {
  await ingestAll(
    t,
    { events: 5_000, badTimes: 1, faultPlan: [{ on: 'stream', nth: 9, fault: 'stale-cursor' }] },
    {},
    { values: false },
  );
});

void test('without time windows a walk whose cursor died begins at the top, skips what it has, and ends', async (t) => {
  const { simulator, books } = await ingestAll(t, {
    events: 8_000,
    streamAccess: 'absent',
    faultPlan: [5, 12, 20].map((nth) => ({ on: 'events', nth, fault: 'stale-cursor' })),
  });
  assert.equal(books.inserted, 8_000);
  assert.ok(books.duplicates < 2_000, `${books.duplicates} duplicates`);
  assert.ok(pageRequests(simulator) < 50, `${pageRequests(simulator)} requests`);
});

void test('so does one without times to skip by', async (t) => {
  await ingestAll(
    t,
    {
      events: 3_000,
      streamAccess: 'absent',
      badTimes: 1,
      faultPlan: [4, 9].map((nth) => ({ on: 'events', nth, fault: 'stale-cursor' })),
    },
    {},
    { values: false },
  );
});

void test('without time windows, and no cursor that lives, it ends with code 4 and the reason', async (t) => {
  const scene = await sceneFor(t, { events: 3_000, streamAccess: 'absent', cursorTtl: DEAD_AT_ONCE });
  const { exitCode, error } = await ingest(scene.target);
  assert.equal(exitCode, 4);
  assert.match(error?.message ?? '', /cursor was stale/);
  assert.ok(pageRequests(scene.simulator) < 30);
});

void test('an endpoint that repeats its pages for ever ends the run', async (t) => {
  const scene = await sceneFor(t, { events: 3_000, distribution: 'instant', faults: { 'same-cursor': 1 } });
  const { exitCode, error } = await ingest(scene.target);
  assert.equal(exitCode, 4);
  assert.match(error?.message ?? '', /no new event/);
});
