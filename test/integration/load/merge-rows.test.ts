import { DATASYNC } from '../../support/datasync.ts';
import { takeBackVersion3 } from '../../support/stored-run.ts';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { analyzeTarget } from '../../../src/load/merge/analyze-target.ts';
import { openClient } from '../../support/database.ts';
import { SILENT, eventsOf, ids, pageOf, startLoading, targetRows } from './setup.ts';

test('a merge into an empty target leaves every id once, the key with its old name, and exact counts', async (t) => {
  const { loader, merger, store, runId, database } = await startLoading(t);
  await loader.load(pageOf(eventsOf(ids('a', 500))));
  await loader.load(pageOf(eventsOf(ids('b', 300)), { page: 2 }));
  const result = await merger().merge('a', 2);
  assert.deepEqual(
    { ...result, seconds: 0 },
    {
      tables: ['a'],
      pages: 2,
      served: 800,
      loaded: 800,
      inserted: 800,
      updated: 0,
      duplicates: 0,
      rejected: 0,
      repaired: 0,
      seconds: 0,
      isInitialMerge: true,
    },
  );
  assert.equal((await targetRows(database)).length, 800);
  const key = await database.query(
    `SELECT conname FROM pg_constraint WHERE conrelid = 'ingested_events'::regclass AND contype = 'p'`,
  );
  assert.deepEqual(key.rows, [{ conname: 'ingested_events_pkey' }]);
  const [window] = await store.windows(runId);
  assert.equal(window?.safePages, 2);
  assert.equal(window.cursor, 'cursor-1-2');
  assert.equal(window.anchorMs, 2002);
  assert.equal((await store.currentRun())?.counts.inserted, 800);
});

for (const way of ['few beside', 'few in', 'many beside', 'many in']) {
  test(`of ids served twice in one chain, ${way} an empty target, the first in serving order is kept`, async (t) => {
    const { loader, merger, database } = await startLoading(t, { isTouched: way.endsWith('in') });
    const all = ids('a', 1000);
    const again = all.slice(0, way.startsWith('few') ? 3 : 600);
    // The later page is copied first: it is the order of serving that counts, not that of arrival.
    await loader.load(pageOf(eventsOf(again, { name: 'second' }), { page: 2 }));
    await loader.load(pageOf(eventsOf(all, { name: 'first' }), { page: 1 }));
    const { inserted, duplicates, isInitialMerge } = await merger().merge('a', 2);
    assert.deepEqual([inserted, duplicates, isInitialMerge], [1000, again.length, true]);
    assert.ok((await targetRows(database)).every((row) => row.name === 'first'));
    const left = await database.query(`SELECT relname FROM pg_class WHERE relname LIKE 'merge!_%' ESCAPE '!'`);
    assert.deepEqual(left.rows, []);
  });
}

test('ids that two windows serve at their common edge are one row', async (t) => {
  const edgeMs = 1_700_000_000_000;
  const { loader, merger, database } = await startLoading(t, {
    windows: [
      { sinceMs: edgeMs, untilMs: null },
      { sinceMs: null, untilMs: edgeMs },
    ],
  });
  const newer = Array.from({ length: 200 }, (_, i) => ({ id: `n${i}`, timestamp: edgeMs + 5000 - i }));
  const edge = Array.from({ length: 20 }, (_, i) => ({ id: `e${i}`, timestamp: edgeMs }));
  const beyond = { id: 'beyond', timestamp: edgeMs - 90_000 };
  const older = Array.from({ length: 200 }, (_, i) => ({ id: `o${i}`, timestamp: edgeMs - 100_000 - i }));
  await loader.load(pageOf([...newer, ...edge, beyond], { window: 1 }));
  await loader.load(pageOf([...edge, beyond, ...older], { window: 2 }));
  const result = await merger().merge('a', 2);
  assert.equal(result.isInitialMerge, true);
  assert.equal(result.inserted, 421);
  assert.equal(result.duplicates, 21);
  assert.equal((await targetRows(database)).length, 421);
});

test('a page that reaches far into the window below does not make a merge into an empty target sort all ids', async (t) => {
  const edgeMs = 1_700_000_000_000;
  const { loader, merger, database } = await startLoading(t, {
    windows: [
      { sinceMs: edgeMs, untilMs: null },
      { sinceMs: null, untilMs: edgeMs },
    ],
  });
  // On its way when the bound came, and no time of it is one that the walk goes by.
  const onItsWay = ids('e', 300).map((id, i) => ({ id, timestamp: edgeMs - 1_000 * (i + 1) }));
  const wild = { id: 'wild', timestamp: 0 };
  await loader.load(pageOf([...eventsOf(ids('n', 300)), wild], { window: 1, ledger: { lastEventMs: edgeMs } }));
  for (let page = 2; page < 5; page += 1) {
    await loader.load(pageOf([], { window: 1, page, ledger: { lastEventMs: edgeMs } }));
  }
  await loader.load(pageOf(onItsWay, { window: 1, page: 5, ledger: { lastEventMs: edgeMs } }));
  await loader.load(pageOf([...onItsWay, { id: 'below', timestamp: 1_000 }], { window: 2 }));
  const result = await merger().merge('a', 6);
  assert.deepEqual([result.inserted, result.duplicates, result.isInitialMerge], [602, 300, true]);
  assert.equal((await targetRows(database)).length, 602);
  const log = await readFile(join(database.cluster.dataDir, 'datasync-server.log'), 'utf8');
  // The server is that of other tests, too, whose ids begin with an e now and then.
  const doubled = log.split('\n').filter((line) => /Key \(id\)=\(e\d+\)/.test(line));
  assert.deepEqual(doubled, [], 'the key could be built at once');
});

test('what version 1 of the schema left in staging is merged by this one', async (t) => {
  const before = await startLoading(t);
  await before.loader.load(pageOf(eventsOf(['a', 'b'])));
  await before.ownership.release();
  await takeBackVersion3(before.database);
  for (const table of ['a', 'b']) {
    await before.database.query(`ALTER TABLE ingestion.staging_ledger_${table} DROP COLUMN oldest_ms`);
  }
  await before.database.query('DELETE FROM ingestion.schema_version WHERE version > 1');
  const after = await startLoading(t, { database: before.database });
  await after.loader.load(pageOf(eventsOf(['c']), { page: 2, table: 'b' }));
  await after.merger().mergeLeftovers();
  assert.equal((await targetRows(after.database)).length, 3);
});

test('a later merge counts what was there already as duplicates and leaves it alone', async (t) => {
  const { loader, merger, database, store } = await startLoading(t);
  await loader.load(pageOf(eventsOf(['a', 'b'], { name: 'old' })));
  await merger().merge('a', 1);
  await loader.load(pageOf(eventsOf(['b', 'c'], { name: 'new' }), { page: 2, table: 'b' }));
  const result = await merger().merge('b', 1);
  assert.deepEqual([result.inserted, result.updated, result.duplicates, result.isInitialMerge], [1, 0, 1, false]);
  assert.deepEqual(await targetRows(database), [
    { id: 'a', name: 'old' },
    { id: 'b', name: 'old' },
    { id: 'c', name: 'new' },
  ]);
  const { counts } = (await store.currentRun()) ?? assert.fail('no run');
  assert.equal(counts.loaded, counts.inserted + counts.updated + counts.duplicates);
  assert.deepEqual([counts.pages, counts.loaded, counts.inserted, counts.duplicates], [2, 4, 3, 1]);
});

test('update takes the newer time, none is oldest, the incoming row wins a tie, and an identical one is a duplicate', async (t) => {
  const { loader, merger, database } = await startLoading(t);
  const at = 1_700_000_000_000;
  await loader.load(
    pageOf([
      { id: 'newer', timestamp: at, name: 'old' },
      { id: 'older', timestamp: at, name: 'old' },
      { id: 'tie', timestamp: at, name: 'old' },
      { id: 'same', timestamp: at, name: 'old', properties: { n: 1 } },
      { id: 'digits', timestamp: at, name: 'old', properties: { n: 1 } },
      { id: 'gains-time', name: 'old' },
      { id: 'loses-time', timestamp: at, name: 'old' },
    ]),
  );
  await merger('update').merge('a', 1);
  const events = [
    `{"id":"newer","timestamp":${at + 1},"name":"new"}`,
    `{"id":"older","timestamp":${at - 1},"name":"new"}`,
    `{"id":"tie","timestamp":${at},"name":"new"}`,
    `{"id":"same","timestamp":${at},"name":"old","properties":{"n":1}}`,
    `{"id":"digits","timestamp":${at},"name":"old","properties":{"n":1.0}}`,
    `{"id":"gains-time","timestamp":${at},"name":"new"}`,
    `{"id":"loses-time","name":"new"}`,
  ];
  await loader.load(pageOf(events, { page: 2, table: 'b' }));
  const result = await merger('update').merge('b', 1);
  assert.deepEqual([result.inserted, result.updated, result.duplicates], [0, 4, 3]);
  // 1 and 1.0 are equal as jsonb, and not the same digits.
  const { rows } = await database.query(`SELECT properties::text FROM ingested_events WHERE id = 'digits'`);
  assert.deepEqual(rows, [{ properties: '{"n": 1.0}' }]);
  assert.deepEqual(
    (await targetRows(database)).map(({ id, name }) => `${id} ${name ?? ''}`),
    ['digits old', 'gains-time new', 'loses-time old', 'newer new', 'older old', 'same old', 'tie new'],
  );
});

test('update gives the same rows in whatever order the pages of a merge arrive', async (t) => {
  const { loader, merger, database } = await startLoading(t);
  let nextPage = 1;
  const versions = fc.array(
    fc.record({
      id: fc.constantFrom('x', 'y', 'z'),
      at: fc.constantFrom(null, 1, 2, 3),
      name: fc.constantFrom('p', 'q', 'r'),
    }),
    { minLength: 1, maxLength: 12 },
  );
  await fc.assert(
    fc.asyncProperty(versions, fc.infiniteStream(fc.nat()), async (served, shuffle: Iterator<number, number>) => {
      await database.query('TRUNCATE ingested_events');
      const pages = served.map(({ id, at, name }) => {
        const event = at === null ? { id, name } : { id, name, timestamp: 1_700_000_000_000 + at };
        return pageOf([event], { page: nextPage++ });
      });
      const keyed = pages.map((page) => ({ page, key: shuffle.next().value })).sort((a, b) => a.key - b.key);
      for (const { page } of keyed) await loader.load(page);
      const result = await merger('update').merge('a', pages.length);

      const best = new Map<string, { at: number; name: string }>();
      for (const { id, at, name } of served) {
        const known = best.get(id);
        if (known === undefined || (at ?? 0) >= known.at) best.set(id, { at: at ?? 0, name });
      }
      assert.deepEqual(
        await targetRows(database),
        [...best].map(([id, { name }]) => ({ id, name })).sort((a, b) => (a.id < b.id ? -1 : 1)),
      );
      assert.deepEqual([result.inserted, result.duplicates], [best.size, served.length - best.size]);
    }),
    { numRuns: 40 },
  );
});

test('a foreign key that needs the primary key does not keep an empty target from being loaded', async (t) => {
  const { loader, merger, database } = await startLoading(t);
  await database.query('CREATE TABLE note (event_id text REFERENCES ingested_events)');
  await loader.load(pageOf(eventsOf(ids('a', 50))));
  const result = await merger().merge('a', 1);
  assert.deepEqual([result.inserted, result.isInitialMerge], [50, false]);
  assert.equal(
    (await database.query(`SELECT FROM pg_constraint WHERE contype = 'f' AND conrelid = 'note'::regclass`)).rowCount,
    1,
  );
});

test('a reader who keeps an empty target open gets the ordinary merge, after a short wait', async (t) => {
  const { loader, merger, database, db } = await startLoading(t);
  await loader.load(pageOf(eventsOf(ids('a', 50))));
  await db.transaction('reading', async (client) => {
    await client.query('SELECT count(*) FROM ingested_events');
    const result = await merger().merge('a', 1);
    assert.deepEqual([result.inserted, result.isInitialMerge], [50, false]);
  });
  assert.equal((await targetRows(database)).length, 50);
});

test('a merge that finds fewer ledger rows than were acknowledged changes nothing', async (t) => {
  const { loader, merger, database } = await startLoading(t);
  await loader.load(pageOf(eventsOf(['a'])));
  await assert.rejects(merger().merge('a', 2), /1 pages, and 2 were acknowledged/);
  assert.deepEqual(await targetRows(database), []);
  assert.equal((await merger().merge('a', 1)).inserted, 1);
});

test('a merge that finds fewer rows than the ledger says changes nothing', async (t) => {
  const { loader, merger, database } = await startLoading(t);
  await loader.load(pageOf(eventsOf(['a', 'b'])));
  await database.query(`DELETE FROM ingestion.staging_a_1 WHERE id = 'b'`);
  await assert.rejects(merger().merge('a', 1), { code: 'STAGING_LOST', message: /has 1 rows, and its ledger says 2/ });
  assert.deepEqual(await targetRows(database), []);
});

test('a page without events is counted, and an empty staging table merges to nothing', async (t) => {
  const { loader, merger, store, runId } = await startLoading(t);
  await loader.load({ ...pageOf([]), encoded: null });
  const result = await merger().merge('a', 1);
  assert.deepEqual([result.pages, result.served, result.inserted], [1, 0, 0]);
  assert.equal((await store.windows(runId))[0]?.safePages, 1);
  assert.equal((await merger().merge('a', 0)).pages, 0);
});

test('the same anomaly served twice is kept once, and counted as often as it was served', async (t) => {
  const { loader, merger, database, store } = await startLoading(t);
  const bad = { id: '', name: 'no id' };
  await loader.load(pageOf([bad, { id: 'a' }]));
  await loader.load(pageOf([bad, { id: 'b' }], { page: 2 }));
  const result = await merger().merge('a', 2);
  assert.deepEqual([result.served, result.loaded, result.rejected], [4, 2, 2]);
  const kept = await database.query<{ original: Buffer }>('SELECT original FROM ingestion.anomaly');
  assert.deepEqual(
    kept.rows.map((row) => row.original.toString()),
    [JSON.stringify(bad)],
  );
  assert.equal((await store.currentRun())?.counts.rejected, 2);
});

test('after many changes the table has rough statistics, and autovacuum still makes its own; after few they are left alone', async (t) => {
  const { database, db } = await startLoading(t);
  const client = await openClient(t, database.url);
  const insert = (count: number): Promise<unknown> =>
    client.query(
      `SELECT pg_stat_force_next_flush(); INSERT INTO ingested_events (id, name) SELECT gen_random_uuid(), 'n' FROM generate_series(1, ${count})`,
    );
  const statistics = async (): Promise<unknown> => {
    const { rows } = await database.query(
      `SELECT (SELECT count(*)::int FROM pg_stats WHERE tablename = 'ingested_events' AND attname = 'name') AS columns,
              pg_stat_get_mod_since_analyze(oid)::int AS changed, reltuples::int AS rows
         FROM pg_class WHERE oid = 'ingested_events'::regclass`,
    );
    return rows[0];
  };
  await insert(1_000);
  await analyzeTarget(db, DATASYNC.target, SILENT);
  assert.deepEqual(await statistics(), { columns: 1, changed: 1_000, rows: 1_000 });
  await client.query('ANALYZE ingested_events');
  await insert(50);
  await analyzeTarget(db, DATASYNC.target, SILENT);
  assert.deepEqual(await statistics(), { columns: 1, changed: 50, rows: 1_000 });
});
