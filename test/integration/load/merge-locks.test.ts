/** Merges beside people who use the same tables: nobody's transaction dies of the job's locks, and readers hold up no merge. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyTarget } from '../../../src/load/schema/ingested-events.ts';
import { openClient } from '../../support/database.ts';
import { eventsOf, eventually, ids, pageOf, startLoading, targetRows } from './setup.ts';

const WAITING = `SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'ingested_events'::regclass`;

test('who has read the empty table and alters it then, while a merge wants it alone, dies of no deadlock', async (t) => {
  const { database, loader, merger } = await startLoading(t);
  await loader.load(pageOf(eventsOf(ids('e', 10))));
  const person = await openClient(t, database.url);
  await person.query('BEGIN; SELECT count(*) FROM ingested_events');
  const merging = merger().merge('a', 1);
  await eventually(database, WAITING);
  await person.query('ALTER TABLE ingested_events ADD COLUMN note text; COMMIT');
  assert.equal((await merging).inserted, 10);
  assert.equal((await targetRows(database)).length, 10);
});

test('a dump that reads everything for hours keeps out neither a start nor its merge, and no page is merged twice', async (t) => {
  const { database, loader, ownership } = await startLoading(t);
  await loader.load(pageOf(eventsOf(ids('e', 10))));
  const dump = await openClient(t, database.url);
  const tables = ['', '_ledger', '_anomaly'].flatMap((kind) =>
    ['a', 'b'].map((name) => `ingestion.staging${kind}_${name}_1`),
  );
  await dump.query(`BEGIN; LOCK TABLE ingested_events, ${tables.join(', ')} IN ACCESS SHARE MODE`);
  await ownership.release();
  const next = await startLoading(t, { database });
  assert.equal(next.ownership.leftoverPages, 1);
  assert.equal((await next.merger().merge('a', null)).inserted, 10);
  await dump.query('ROLLBACK');
  await next.loader.load(pageOf(eventsOf(ids('f', 5)), { page: 2 }));
  const { inserted, duplicates } = await next.merger().merge('a', 1);
  assert.deepEqual([inserted, duplicates], [5, 0]);
});

test('a transaction that is older than the deletion of all rows still sees them after a merge with many double ids', async (t) => {
  const { database, loader, merger } = await startLoading(t);
  await database.query(`INSERT INTO ingested_events (id) VALUES ('mine'), ('yours')`);
  const person = await openClient(t, database.url);
  await person.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
  await database.query('DELETE FROM ingested_events');
  await loader.load(pageOf(eventsOf([...ids('e', 10), ...ids('e', 5)])));
  const { inserted, duplicates, isInitialMerge } = await merger().merge('a', 1);
  assert.deepEqual([inserted, duplicates, isInitialMerge], [10, 5, true]);
  const { rows } = await person.query('SELECT id FROM ingested_events ORDER BY id');
  assert.deepEqual(rows, [{ id: 'mine' }, { id: 'yours' }]);
  assert.deepEqual(
    (await targetRows(database)).map(({ id }) => id),
    ids('e', 10),
  );
});

test('a reset that is stopped while it has the table alone loses it, as a merge does', async (t) => {
  const { db, ownership } = await startLoading(t);
  await db.transaction('test', async (client) => {
    await emptyTarget(client, ownership.source.target);
    const { rows } = await client.query('SHOW idle_in_transaction_session_timeout');
    assert.deepEqual(rows, [{ idle_in_transaction_session_timeout: '10s' }]);
  });
});

test('a reset waits for somebody who reads the table for more than a second', async (t) => {
  const { database, db, ownership } = await startLoading(t);
  const person = await openClient(t, database.url);
  await person.query('BEGIN; SELECT count(*) FROM ingested_events');
  const emptying = db.transaction('test', (client) => emptyTarget(client, ownership.source.target));
  await eventually(database, `${WAITING} AND clock_timestamp() - waitstart > '1.2 s'`);
  await person.query('COMMIT');
  await emptying;
});
