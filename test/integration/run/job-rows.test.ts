/** A bad event costs only itself, whoever refuses it, wherever it stands and however the job is set up. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Environment } from '../../../src/core/config.ts';
import type { RawEvent } from '../../../src/simulator/simulator.ts';
import type { TestDatabase } from '../../support/database.ts';
import { assertExact } from '../../support/exact-target.ts';
import { ingestAll, ingestInto, pageRequests, sceneFor } from '../../support/ingestion-scene.ts';
import { ingest } from '../../support/ingestion.ts';
import { simulatorFor } from '../../support/simulator-client.ts';

interface AnomalyRow {
  readonly event_id: string | null;
  readonly kind: string;
  readonly field: string;
  readonly reason: string;
  readonly original: string;
}

async function anomalies(database: TestDatabase, kind = 'rejected'): Promise<AnomalyRow[]> {
  const { rows } = await database.query<AnomalyRow>(
    `SELECT event_id, kind, field, reason, encode(original, 'escape') AS original FROM ingestion.anomaly WHERE kind = $1
      ORDER BY sha256(original), field, reason`,
    [kind],
  );
  return rows;
}

/** An event without a usable id; its note tells it from the others. */
function poison(position: number): RawEvent {
  const raw = `{"id":null,"timestamp":1769541612369,"type":"poison","note":"${position}"}`;
  return { position, raw, id: null };
}

void test('poison events are set aside: first, in the middle and last of a page, several in one, and whole pages', async (t) => {
  const whole = Array.from({ length: 3_200 }, (_, index) => 3_000 + index);
  const positions = [0, 250, 499, 500, 1_100, 1_101, 1_499, 2_000, 2_001, 2_002, ...whole];
  const { counts, database } = await ingestAll(
    t,
    { events: 9_000, rawEvents: positions.map(poison) },
    { MAX_REJECTED: '100%' },
  );
  assert.equal(counts.inserted, 9_000);
  const notes = (await anomalies(database)).map(({ original }) => /"note":"(\d+)"/.exec(original)?.[1]);
  assert.deepEqual(
    notes.map(Number).sort((a, b) => a - b),
    positions,
  );
});

void test('a data set of poison events only is walked to its end and completes when that is accepted', async (t) => {
  const rawEvents = Array.from({ length: 2_600 }, (_, index) => poison(index));
  const { counts } = await ingestAll(t, { events: 0, rawEvents }, { BATCH_SIZE: '200', MAX_REJECTED: '100%' });
  assert.equal(counts.inserted, 0);
  assert.ok(counts.rejected >= 2_600);
});

/** An empty target with a constraint that its owner has added. */
async function constrainedTarget(t: TestContext, check: string): Promise<TestDatabase> {
  const { database } = await ingestInto(await sceneFor(t, { events: 0 }));
  await database.query(`ALTER TABLE ingested_events ADD CONSTRAINT owners_rule CHECK (${check})`);
  await database.query('DELETE FROM ingestion.run');
  return database;
}

void test("events that the owner's check constraint refuses are set aside, whatever the page size, threads and connections", async (t) => {
  const simulator = await simulatorFor(t, { events: 4_000, badIds: 0.01, badTimes: 0.01, nasty: 0.02, seed: 21 });
  const rule = `type <> 'purchase' OR right(id::text, 1) NOT IN ('3', '7')`;
  const settings: Environment[] = [
    { BATCH_SIZE: '2000', WORKER_CONCURRENCY: '1', WORKER_THREADS: '1', DB_CONNECTIONS: '1' },
    { BATCH_SIZE: '150', WORKER_CONCURRENCY: '8', WORKER_THREADS: '2', DB_CONNECTIONS: '4' },
  ];
  const found: AnomalyRow[][] = [];
  for (const setting of settings) {
    const database = await constrainedTarget(t, rule);
    const target = { baseUrl: simulator.baseUrl, databaseUrl: database.url };
    await ingestInto({ simulator, database, target }, setting);
    const rejected = await anomalies(database);
    const byOwner = rejected.filter(({ reason }) => reason.includes('owners_rule'));
    assert.ok(byOwner.length > 10, `${byOwner.length} refused by the constraint`);
    for (const { original } of byOwner) assert.match(original, /"type":"purchase"/);
    const rows = await database.number('SELECT count(*) FROM ingested_events');
    assert.equal(rows, simulator.stats().data.distinctIds - byOwner.length);
    found.push([...rejected, ...(await anomalies(database, 'repaired'))]);
  }
  assert.deepEqual(withoutPlaces(found[0] ?? []), withoutPlaces(found[1] ?? []));
});

/** PostgreSQL's message may name a row of the batch; everything else must be equal. */
function withoutPlaces(rows: readonly AnomalyRow[]): unknown[] {
  return rows.map((row) => ({ ...row, reason: row.reason.replaceAll(/\d+/g, 'N') }));
}

void test('a job with more rejected events than --max-rejected ends with code 4 and keeps what was loaded', async (t) => {
  const rawEvents = Array.from({ length: 40 }, (_, index) => poison(index * 50));
  const scene = await sceneFor(t, { events: 6_000, rawEvents, latency: 10 });
  const { exitCode, error } = await ingest(scene.target, { MAX_REJECTED: '15', BATCH_SIZE: '250' });
  assert.equal(exitCode, 4);
  assert.match(error?.message ?? '', /--max-rejected allows 15/);
  const { counts } = await ingestInto(scene, { MAX_REJECTED: '40' });
  assert.equal(counts.inserted, 6_000);
});

void test('--max-rejected also holds for the last page, and for a start that finds all pages merged', async (t) => {
  const scene = await sceneFor(t, { events: 100, rawEvents: [poison(3), poison(50)] });
  for (const start of ['first', 'second']) {
    const { exitCode, error } = await ingest(scene.target, { MAX_REJECTED: '1' });
    assert.equal(exitCode, 4, start);
    assert.match(error?.message ?? '', /2 events were rejected, and --max-rejected allows 1/);
  }
  const { counts } = await ingestInto(scene, { MAX_REJECTED: '2' });
  assert.equal(counts.inserted, 100);
});

void test('--max-rejected counts distinct events: one that is served again counts once', async (t) => {
  const rawEvents = Array.from({ length: 30 }, (_, index) => poison(index * 100));
  const faultPlan = [{ on: 'stream' as const, nth: 4, fault: 'lost-events' as const }];
  const scene = await sceneFor(t, { events: 4_000, rawEvents, faultPlan });
  const { counts } = await ingestInto(scene, { BATCH_SIZE: '250', MAX_REJECTED: '30' });
  assert.ok(counts.rejected > 30, 'events were missing, so some were served again');
  await assertExact(scene);
});

void test('a page that is served again records its anomalies once', async (t) => {
  const rawEvents = Array.from({ length: 30 }, (_, index) => poison(index * 100));
  const scene = await sceneFor(t, { events: 4_000, rawEvents, faults: { 'same-cursor': 0.3 }, seed: 4 });
  await ingestInto(scene, { BATCH_SIZE: '250' });
  assert.equal((await anomalies(scene.database)).length, 30);
  await ingestInto(scene, { FULL: '1' });
  await assertExact(scene);
});

/** A poison event with the same bytes at every position. */
const sameEverywhere = (position: number): RawEvent => ({ position, raw: '{"type":"poison"}', id: null });

for (const [where, positions] of [
  ['inside one page', [100, 101, 300]],
  ['on several pages', [100, 700, 1_500, 2_900, 3_999]],
] as const) {
  void test(`identical rejected events may stand in for others: walked once more, then complete: ${where}`, async (t) => {
    const options = { events: 4_000, rawEvents: positions.map(sameEverywhere) };
    const scene = await sceneFor(t, { ...options, streamAccess: 'absent' });
    const { counts } = await ingestInto(scene, { BATCH_SIZE: '250' });
    assert.deepEqual([counts.pass, counts.inserted], [3, 4_000]);
    assert.equal((await anomalies(scene.database)).length, 1);
  });
}

void test('--on-conflict update changes rows that differ, and counts equal ones as duplicates', async (t) => {
  const scene = await sceneFor(t, { events: 3_000 });
  await ingestInto(scene);
  await scene.database.query(
    `UPDATE ingested_events SET name = 'changed', occurred_at = occurred_at - interval '1 day' WHERE type = 'purchase'`,
  );
  const { counts } = await ingestInto(scene, { ON_CONFLICT: 'update', FULL: '1' });
  assert.ok(counts.updated > 50, `${counts.updated} updated`);
  assert.equal(counts.inserted, 0);
  await assertExact(scene);
  assert.ok(pageRequests(scene.simulator) < 30);
});
