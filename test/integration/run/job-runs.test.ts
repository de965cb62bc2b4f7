/** What a run loads, and what the next one does: events that arrive during and after a run, limits, late arrivals, and the count at the end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertExact, readRunCounts } from '../../support/exact-target.ts';
import { gatewayTo } from '../../support/gateway.ts';
import { ingestAll, ingestInto, pageRequests, sceneFor } from '../../support/ingestion-scene.ts';
import { ingest, jobFor } from '../../support/ingestion.ts';

const HOUR_MS = 3_600_000;
/** The newest event is half an hour old, so events that arrive later are not from the future. */
const recent = (): { newest: number } => ({ newest: Date.now() - HOUR_MS / 2 });

void test('a second start loads nothing, and a third one only new events', async (t) => {
  const scene = await sceneFor(t, { events: 8_000, ...recent() });
  await ingestInto(scene);
  const before = pageRequests(scene.simulator);
  const second = await ingestInto(scene);
  assert.equal(second.counts.inserted, 0);
  assert.ok(
    pageRequests(scene.simulator) - before <= 2,
    'a page for new events, and a page for those that came meanwhile',
  );
  scene.simulator.addEvents(1_200);
  const third = await ingestInto(scene);
  assert.equal(third.counts.inserted, 1_200);
  assert.ok(third.counts.served < 3_000, `${third.counts.served} events were served`);
  await assertExact(scene);
});

void test('a run loads late arrivals within the lookback, and --full loads older ones', async (t) => {
  const newest = Date.now() - 60_000;
  const scene = await sceneFor(t, { events: 5_000, days: 5, newest });
  await ingestInto(scene);
  scene.simulator.addEvents(30, { atMs: newest - 0.5 * HOUR_MS });
  const second = await ingestInto(scene, { LOOKBACK: '1h' });
  assert.equal(second.counts.inserted, 30);
  // The API's total reveals older arrivals: the run walks everything again.
  scene.simulator.addEvents(20, { atMs: newest - 50 * HOUR_MS });
  const third = await ingestInto(scene);
  assert.equal(third.counts.inserted, 20);
  // Without a total only --full finds it.
  scene.simulator.apply({ total: false });
  scene.simulator.addEvents(10, { atMs: newest - 60 * HOUR_MS });
  assert.equal((await ingestInto(scene)).counts.inserted, 0);
  assert.equal((await ingestInto(scene, { FULL: '1' })).counts.inserted, 10);
  await assertExact(scene);
});

void test('without time windows too, a later run stops where it meets events that it has', async (t) => {
  const scene = await sceneFor(t, { events: 8_000, ...recent(), streamAccess: 'absent' });
  await ingestInto(scene);
  scene.simulator.addEvents(700);
  const before = pageRequests(scene.simulator);
  const second = await ingestInto(scene);
  assert.equal(second.counts.inserted, 700);
  assert.ok(pageRequests(scene.simulator) - before <= 6, `${pageRequests(scene.simulator) - before} requests`);
  await assertExact(scene);
});

void test('a run loads what arrives during it, in three passes at most', async (t) => {
  const scene = await sceneFor(t, { events: 6_000, ...recent(), arrivals: 400, latency: 40 });
  const { counts } = await ingestInto(scene, { BATCH_SIZE: '250' });
  assert.ok(counts.pass <= 3, `${counts.pass} passes`);
  assert.ok(counts.inserted > 6_000, 'events arrived and were loaded');
  // The next run loads what came after the last look.
  scene.simulator.apply({ arrivals: 0 });
  await ingestInto(scene);
  await assertExact(scene);
});

void test('an event dated 2099 is loaded, and hides no event that arrives later', async (t) => {
  const scene = await sceneFor(t, { events: 6_000, ...recent(), futureEvent: true });
  await ingestInto(scene);
  await assertExact(scene);
  scene.simulator.addEvents(300);
  const second = await ingestInto(scene);
  assert.equal(second.counts.inserted, 300);
  assert.ok(second.counts.served < 2_500, `${second.counts.served} events were served`);
  await assertExact(scene);
});

void test('a run limited by --since and --until moves no watermark: a run without limits then loads the rest', async (t) => {
  const newest = Date.now() - 60_000;
  const scene = await sceneFor(t, { events: 9_000, days: 9, newest });
  const [since, until] = [newest - 150 * HOUR_MS, newest - 50 * HOUR_MS];
  const limited = await ingestInto(scene, { SINCE: String(since), UNTIL: String(until) });
  let expected = 0;
  for (const { occurredAtMicros } of scene.simulator.truth()) {
    if (occurredAtMicros !== null && occurredAtMicros >= since * 1000 && occurredAtMicros <= until * 1000)
      expected += 1;
  }
  const inside = `occurred_at BETWEEN to_timestamp(${since / 1000}) AND to_timestamp(${until / 1000})`;
  assert.equal(await scene.database.number(`SELECT count(*) FROM ingested_events WHERE ${inside}`), expected);
  assert.ok(limited.counts.inserted - expected <= 4, 'bounds are asked for a millisecond wider on each side');
  await ingestInto(scene);
  await assertExact(scene);
});

void test('an id that is served twice in a row is one row; a first load that has them looks once more for what they may hide', async (t) => {
  const { counts } = await ingestAll(t, { events: 5_000, doubled: 40 });
  assert.equal(counts.inserted, 5_000);
  assert.equal(counts.pass, 3);
});

void test('a run finds events that pages left out by walking again', async (t) => {
  const { counts } = await ingestAll(t, {
    events: 6_000,
    faultPlan: [3, 7].map((nth) => ({ on: 'stream', nth, fault: 'lost-events' })),
  });
  assert.equal(counts.inserted, 6_000);
  assert.ok(counts.pass > 2, 'something was walked again');
});

void test('a run without events that the API counts ends with code 5 and the figures; what came is in the target', async (t) => {
  const scene = await sceneFor(t, { events: 3_000, totalOffset: 12 });
  const { exitCode, error } = await ingest(scene.target);
  assert.equal(exitCode, 5);
  assert.match(error?.message ?? '', /12 events are missing: the API counts 3012, 3000 were served/);
  await assertExact(scene);
  assert.equal((await readRunCounts(scene.database)).status, 'running');
});

void test('ids that are served twice do not hide missing events, however often the chain is walked', async (t) => {
  const scene = await sceneFor(t, { events: 3_000, doubled: 40, totalOffset: 12 });
  const { exitCode, error } = await ingest(scene.target);
  assert.equal(exitCode, 5);
  assert.match(error?.message ?? '', /12 events are missing/);
});

void test('a run completes when the total is too small, or missing', async (t) => {
  await ingestAll(t, { events: 2_000, totalOffset: -50 });
  await ingestAll(t, { events: 2_000, total: false });
});

void test('a job that is stopped keeps what it has, and the next start goes on from there', async (t) => {
  const scene = await sceneFor(t, { events: 10_000, latency: 30 });
  const { job, run } = jobFor(scene.target);
  const ending = run();
  while (scene.simulator.stats().pagesServed < 8) await new Promise((resolve) => setImmediate(resolve));
  job.stop();
  const { report } = await ending;
  assert.equal(report?.outcome, 'stopped');
  const taken = (await readRunCounts(scene.database)).inserted;
  assert.ok(taken > 0 && taken < 10_000);
  const { counts } = await ingestInto(scene);
  assert.equal(counts.inserted, 10_000);
  assert.ok(counts.served < 14_000, `${counts.served} events were served for 10000`);
  await assertExact(scene);
});

void test('a snapshot shows how far down each window is merged, and the newest event', async (t) => {
  const scene = await sceneFor(t, { events: 8_000 });
  const { job, run } = jobFor(scene.target);
  const { exitCode, error } = await run();
  assert.equal(exitCode, 0, error?.message);
  const { windows, newestEventMs } = job.snapshot();
  assert.ok(
    windows.some(({ pages }) => pages > 1),
    'the windows of the whole run, not only of its look for newer events',
  );
  for (const { windowId, safeToMs, walkedToMs } of windows) {
    assert.ok(safeToMs !== null && walkedToMs !== null && safeToMs <= walkedToMs, `window ${windowId}`);
  }
  assert.equal(newestEventMs, 1_769_541_612_369);
});

void test('a second source in the same table is proven by its own count: rows of the first hide nothing', async (t) => {
  const first = await ingestAll(t, { events: 2_000 });
  const second = await sceneFor(t, { events: 1_000, totalOffset: 12, seed: 7 });
  const target = { ...second.target, databaseUrl: first.target.databaseUrl };
  const refused = await ingest(target);
  assert.equal(refused.exitCode, 2);
  assert.match(refused.error?.message ?? '', /holds the events of another source/);
  const { exitCode, error } = await ingest(target, { NEW_RUN: '1' });
  assert.equal(exitCode, 5);
  assert.match(error?.message ?? '', /12 events are missing: the API counts 1012, 1000 were served/);
  assert.equal(await first.database.number('SELECT count(*) FROM ingested_events'), 3_000);
});

void test('an event dated 2099 hides no later event of an API that sends no Date header either', async (t) => {
  const scene = await sceneFor(t, { events: 2_000, ...recent(), futureEvent: true, total: false });
  const baseUrl = await gatewayTo(t, scene.simulator.baseUrl, {
    answers: (_req, res) => {
      res.sendDate = false;
      return false;
    },
    onAnswer: ({ headers }) => {
      delete headers.date;
    },
  });
  const target = { ...scene.target, baseUrl };
  await ingestInto({ ...scene, target });
  scene.simulator.addEvents(300);
  const second = await ingestInto({ ...scene, target });
  assert.equal(second.counts.inserted, 300);
  await assertExact(scene);
});
