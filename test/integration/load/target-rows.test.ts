/** What is remembered of the target's rows changes with them, and only by our own hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { readNewestRun } from '../../../src/load/state/run-reader.ts';
import { isTargetUntouched, readTargetRows, rememberTargetRows } from '../../../src/load/state/target-rows.ts';
import type { Database } from '../../../src/load/postgres/database.ts';
import { findSource } from '../../../src/load/schema/source.ts';
import { takeBackVersion3 } from '../../support/stored-run.ts';
import { eventsOf, ids, pageOf, startLoading } from './setup.ts';
import { databaseIn, testCluster } from '../../support/database.ts';
import { DATASYNC } from '../../support/datasync.ts';

async function counted(db: Database): Promise<{ rows: number; remembered: number | null }> {
  const { rows, remembered } = await readTargetRows(db, DATASYNC);
  return { rows, remembered };
}

test('merges, a reset and a proof say how many rows the target should have; what others delete shows', async (t) => {
  const { db, database, loader, merger } = await startLoading(t);
  assert.deepEqual(await counted(db), { rows: 0, remembered: null });
  await loader.load(pageOf(eventsOf(ids('a', 40))));
  await merger().merge('a', 1);
  assert.deepEqual(await counted(db), { rows: 40, remembered: 40 });
  // 20 of them again: they are duplicates, and no rows.
  await loader.load(pageOf(eventsOf([...ids('a', 20), ...ids('b', 5)]), { page: 2 }));
  await merger().merge('a', 1);
  assert.deepEqual(await counted(db), { rows: 45, remembered: 45 });
  await database.query("DELETE FROM ingested_events WHERE id LIKE 'b%'");
  assert.deepEqual(await counted(db), { rows: 40, remembered: 45 });
  await db.transaction('proof', (client) => rememberTargetRows(client, DATASYNC, { rows: 40, deletions: 0 }));
  assert.deepEqual(await counted(db), { rows: 40, remembered: 40 });
  await database.query('DROP TABLE ingested_events');
  assert.deepEqual(await counted(db), { rows: 0, remembered: 40 });
});

test('an emptied target is remembered as empty, and rows that were there before are not counted', async (t) => {
  const { db, database, loader, merger, store } = await startLoading(t);
  await database.query("INSERT INTO ingested_events (id) VALUES ('of somebody else')");
  await loader.load(pageOf(eventsOf(ids('a', 3))));
  await merger().merge('a', 1);
  assert.deepEqual(await counted(db), { rows: 4, remembered: null });
  await store.resetTarget();
  assert.deepEqual(await counted(db), { rows: 0, remembered: 0 });
});

test('the runs of a database that only an older version has used can be read', async (t) => {
  const { db, database, runId } = await startLoading(t);
  await takeBackVersion3(database);
  const source = await findSource(db, DATASYNC.name);
  assert.ok(source !== null);
  const run = await readNewestRun(db, source);
  assert.deepEqual([run?.runId, run?.proof], [runId, null]);
});

for (const [what, sql, later = ''] of [
  ['a deletion', "DELETE FROM ingested_events WHERE id LIKE '1-%'"],
  ['a deletion that is counted no more', "DELETE FROM ingested_events WHERE id LIKE '1-%'", 'SELECT pg_stat_reset()'],
  [
    'a deletion of which the table has lost count',
    "DELETE FROM ingested_events WHERE id LIKE '1-%'",
    "SELECT pg_stat_reset_single_table_counters('ingested_events'::regclass)",
  ],
  ['TRUNCATE, with other rows later', 'TRUNCATE ingested_events'],
  [
    'the table made anew',
    'CREATE TABLE copy (LIKE ingested_events INCLUDING ALL); DROP TABLE ingested_events; ALTER TABLE copy RENAME TO ingested_events',
  ],
] as const) {
  test(`merges leave the target untouched, ${what} does not`, async (t) => {
    const { db, database, loader, merger, store, ownership } = await startLoading(t);
    const isUntouched = (inserted: number): Promise<boolean> =>
      isTargetUntouched(db, DATASYNC, { inserted, epoch: ownership.epoch });
    assert.equal(await isUntouched(0), false, 'never counted');
    await store.rememberRows(await readTargetRows(db, DATASYNC));
    for (const page of [1, 2]) {
      await loader.load(pageOf(eventsOf(ids(`${page}-`, 10)), { page }));
      await merger().merge('a', 1);
    }
    assert.equal(await isUntouched(20), true);
    assert.equal(await isUntouched(10), false, 'the table had rows before');
    // The statistics of a session are told when it ends.
    const session = new pg.Client(database.url);
    await session.connect();
    const { rows } = await session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await session.query(sql);
    await session.end();
    while ((await database.number(`SELECT count(*) FROM pg_stat_activity WHERE pid = ${rows[0]?.pid ?? 0}`)) > 0);
    await database.query(later);
    assert.equal(await isUntouched(20), false);
    await loader.load(pageOf(eventsOf(ids('c', 10)), { page: 3 }));
    await merger().merge('a', 1);
    assert.equal(await isUntouched(30), false);
  });
}

test('rows that were deleted before a crash of the server are missed after it', async (t) => {
  const cluster = await testCluster(t);
  const { db, loader, merger, store, ownership } = await startLoading(t, { database: await databaseIn(t, cluster) });
  const isUntouched = (): Promise<boolean> => isTargetUntouched(db, DATASYNC, { inserted: 10, epoch: ownership.epoch });
  await store.rememberRows(await readTargetRows(db, DATASYNC));
  await loader.load(pageOf(eventsOf(ids('a', 10))));
  await merger().merge('a', 1);
  assert.equal(await isUntouched(), true);
  await db.query("DELETE FROM ingested_events WHERE id = 'a000003'");
  await cluster.restart('immediate');
  await db.persistently('a new epoch', () => ownership.renew());
  assert.equal(await isUntouched(), false);
});
