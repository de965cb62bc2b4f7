/** What one run takes and the next: news during a run and after it, limits, late arrivals, and the proof at the end. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import { test, type TestContext } from 'node:test';
import type { Simulator } from '../../../src/simulator/simulator.ts';
import { assertExact, readBooks } from '../../support/exact-target.ts';
import { ingestAll, ingestInto, pageRequests, sceneFor, type Scene } from '../../support/ingestion-scene.ts';
import { ingest, jobFor } from '../../support/ingestion.ts';

const HOUR_MS = 3_600_000;
/** Data whose newest event is half an hour old: what arrives later is not from the future. */
const recent = (): { newest: number } => ({ newest: Date.now() - HOUR_MS / 2 });

void test('a second start takes nothing, a third only what is new', async (t) => {
  const scene = await sceneFor(t, { events: 8_000, ...recent() });
  await ingestInto(scene);
  const before = pageRequests(scene.simulator);
  const second = await ingestInto(scene);
  assert.equal(second.books.inserted, 0);
  assert.ok(pageRequests(scene.simulator) - before <= 2, 'a page for what is new, a page for what came meanwhile');
  scene.simulator.addEvents(1_200);
  const third = await ingestInto(scene);
  assert.equal(third.books.inserted, 1_200);
  assert.ok(third.books.served < 3_000, `${third.books.served} events were served`);
  await assertExact(scene.database, scene.simulator);
});

void test('late arrivals within the lookback are taken, and --full takes those behind it', async (t) => {
  const newest = Date.now() - 60_000;
  const scene = await sceneFor(t, { events: 5_000, days: 5, newest });
  await ingestInto(scene);
  scene.simulator.addEvents(30, { atMs: newest - 0.5 * HOUR_MS });
  const second = await ingestInto(scene, { LOOKBACK: '1h' });
  assert.equal(second.books.inserted, 30);
  // The API's total gives away what came further back: everything is walked again for it.
  scene.simulator.addEvents(20, { atMs: newest - 50 * HOUR_MS });
  const third = await ingestInto(scene);
  assert.equal(third.books.inserted, 20);
  // Without a total only --full finds it.
  scene.simulator.apply({ total: false });
  scene.simulator.addEvents(10, { atMs: newest - 60 * HOUR_MS });
  assert.equal((await ingestInto(scene)).books.inserted, 0);
  assert.equal((await ingestInto(scene, { FULL: '1' })).books.inserted, 10);
  await assertExact(scene.database, scene.simulator);
});

void test('without time windows, too, a later run stops where it meets what it has', async (t) => {
  const scene = await sceneFor(t, { events: 8_000, ...recent(), streamAccess: 'absent' });
  await ingestInto(scene);
  scene.simulator.addEvents(700);
  const before = pageRequests(scene.simulator);
  const second = await ingestInto(scene);
  assert.equal(second.books.inserted, 700);
  assert.ok(pageRequests(scene.simulator) - before <= 6, `${pageRequests(scene.simulator) - before} requests`);
  await assertExact(scene.database, scene.simulator);
});

void test('what arrives during a run is taken by it, in three passes at most', async (t) => {
  const { books, simulator, database } = await ingestAllArriving(t);
  assert.ok(books.pass <= 3, `${books.pass} passes`);
  assert.ok(books.inserted > 6_000, 'something did arrive and was taken');
  // What came after the last look is for the next run.
  simulator.apply({ arrivals: 0 });
  await ingestInto({ simulator, database, target: { baseUrl: simulator.baseUrl, databaseUrl: database.url } });
  await assertExact(database, simulator);
});

async function ingestAllArriving(t: Parameters<typeof sceneFor>[0]) {
  const scene = await sceneFor(t, { events: 6_000, ...recent(), arrivals: 400, latency: 40 });
  return ingestInto(scene, { BATCH_SIZE: '250' });
}

void test('an event dated 2099 is taken, and hides nothing that comes after it', async (t) => {
  const scene = await sceneFor(t, { events: 6_000, ...recent(), futureEvent: true });
  await ingestInto(scene);
  await assertExact(scene.database, scene.simulator);
  scene.simulator.addEvents(300);
  const second = await ingestInto(scene);
  assert.equal(second.books.inserted, 300);
  assert.ok(second.books.served < 2_500, `${second.books.served} events were served`);
  await assertExact(scene.database, scene.simulator);
});

void test('a run limited by --since and --until takes that and moves no watermark; a plain one then takes the rest', async (t) => {
  const newest = Date.now() - 60_000;
  const scene = await sceneFor(t, { events: 9_000, days: 9, newest });
  const [since, until] = [newest - 150 * HOUR_MS, newest - 50 * HOUR_MS];
  const limited = await ingestInto(scene, { SINCE: String(since), UNTIL: String(until) });
  let expected = 0;
  for (const { occurredAtMicros } of scene.simulator.truth()) {
    if (occurredAtMicros !== null && occurredAtMicros >= since * 1000 && occurredAtMicros <= until * 1000)
      expected += 1;
  }
  const { rows } = await scene.database.query<{ inside: string }>(
    'SELECT count(*) AS inside FROM ingested_events WHERE occurred_at BETWEEN to_timestamp($1) AND to_timestamp($2)',
    [since / 1000, until / 1000],
  );
  assert.equal(Number(rows[0]?.inside), expected);
  assert.ok(limited.books.inserted - expected <= 4, 'a millisecond wider on each side, no more');
  await ingestInto(scene);
  await assertExact(scene.database, scene.simulator);
});

void test('ids that are served twice in a row are one row each, and no reason to doubt the run', async (t) => {
  const { books } = await ingestAll(t, { events: 5_000, doubled: 40 });
  assert.equal(books.inserted, 5_000);
  assert.equal(books.pass, 2, 'nothing was walked again');
});

void test('events that pages left out are found by walking again', async (t) => {
  const { books } = await ingestAll(t, {
    events: 6_000,
    faultPlan: [3, 7].map((nth) => ({ on: 'stream', nth, fault: 'lost-events' })),
  });
  assert.equal(books.inserted, 6_000);
  assert.ok(books.pass > 2, 'something was walked again');
});

void test('events that are never served are exit code 5, with the figures, and what came is in the target', async (t) => {
  const scene = await sceneFor(t, { events: 3_000, totalOffset: 12 });
  const { exitCode, error } = await ingest(scene.target);
  assert.equal(exitCode, 5);
  assert.match(error?.message ?? '', /12 events are missing: the API counts 3012, the target has 3000 rows/);
  await assertExact(scene.database, scene.simulator);
  assert.equal((await readBooks(scene.database)).status, 'running');
});

void test('ids that are served twice hide no missing events, however often the chain is walked', async (t) => {
  const scene = await sceneFor(t, { events: 3_000, doubled: 40, totalOffset: 12 });
  const { exitCode, error } = await ingest(scene.target);
  assert.equal(exitCode, 5);
  assert.match(error?.message ?? '', /12 events are missing/);
});

void test('a total that is too small, or none, is no reason to doubt the run', async (t) => {
  await ingestAll(t, { events: 2_000, totalOffset: -50 });
  await ingestAll(t, { events: 2_000, total: false });
});

void test('a job that is stopped ends with what it has, and the next start goes on from there', async (t) => {
  const scene = await sceneFor(t, { events: 10_000, latency: 30 });
  const { job, run } = jobFor(scene.target);
  const ending = run();
  while (scene.simulator.stats().pagesServed < 8) await new Promise((resolve) => setImmediate(resolve));
  job.stop();
  const { report } = await ending;
  assert.equal(report?.outcome, 'stopped');
  const taken = (await readBooks(scene.database)).inserted;
  assert.ok(taken > 0 && taken < 10_000);
  const { books } = await ingestInto(scene);
  assert.equal(books.inserted, 10_000);
  assert.ok(books.served < 14_000, `${books.served} events were served for 10000`);
  await assertExact(scene.database, scene.simulator);
});

void test('watchers see how far down each window is merged, and where the data end', async (t) => {
  const scene = await sceneFor(t, { events: 8_000 });
  const { job, run } = jobFor({ baseUrl: scene.simulator.baseUrl, databaseUrl: scene.database.url });
  const { exitCode, error } = await run();
  assert.equal(exitCode, 0, error?.message);
  const { windows, newestEventMs } = job.snapshot();
  assert.ok(
    windows.some(({ pages }) => pages > 1),
    'the windows of the run, not of its last look at what is new alone',
  );
  for (const { windowId, safeToMs, walkedToMs } of windows) {
    assert.ok(safeToMs !== null && walkedToMs !== null && safeToMs <= walkedToMs, `window ${windowId}`);
  }
  assert.equal(newestEventMs, 1_769_541_612_369);
});

void test('a second source in the same table can hide missing events of the first, and the run says so', async (t) => {
  const first = await ingestAll(t, { events: 2_000 });
  const second = await sceneFor(t, { events: 1_000, totalOffset: 12, seed: 7 });
  const target = { ...second.target, databaseUrl: first.target.databaseUrl };
  const refused = await ingest(target);
  assert.equal(refused.exitCode, 2);
  assert.match(refused.error?.message ?? '', /holds the events of another source/);
  const { error, log } = await ingest(target, { NEW_RUN: '1' });
  assert.equal(error, null);
  const warned = log.find((line) => line.includes('completeness is not proven')) ?? '{}';
  const { hidden, otherRows } = JSON.parse(warned) as { hidden?: number; otherRows?: number };
  assert.deepEqual({ hidden, otherRows }, { hidden: 12, otherRows: 2_000 });
  assert.equal(await countRows(first.database), 3_000);
});

async function countRows(database: Scene['database']): Promise<number> {
  const { rows } = await database.query<{ n: string }>('SELECT count(*) AS n FROM ingested_events');
  return Number(rows[0]?.n);
}

/** The simulator behind a server that does not say how late it is. */
async function withoutDate(t: TestContext, simulator: Simulator): Promise<string> {
  const { port } = simulator;
  const server = createServer((request, response) => {
    response.sendDate = false;
    const { method, url, headers } = request;
    const forwarded = httpRequest({ port, method, path: url, headers }, (answer) => {
      const kept = Object.entries(answer.headers).filter(([name]) => name !== 'date');
      response.writeHead(answer.statusCode ?? 0, Object.fromEntries(kept));
      answer.pipe(response);
    });
    request.pipe(forwarded);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return `http://127.0.0.1:${address.port}/api/v1`;
}

void test('an event dated 2099 hides nothing that comes after it from an API without a Date either', async (t) => {
  const scene = await sceneFor(t, { events: 2_000, ...recent(), futureEvent: true, total: false });
  const target = { ...scene.target, baseUrl: await withoutDate(t, scene.simulator) };
  await ingestInto({ ...scene, target });
  scene.simulator.addEvents(300);
  const second = await ingestInto({ ...scene, target });
  assert.equal(second.books.inserted, 300);
  await assertExact(scene.database, scene.simulator);
});
