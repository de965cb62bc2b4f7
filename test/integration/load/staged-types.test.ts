/** Staging has the target's id types and nothing else of it, and rows never meet columns of other types. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StagedTypesError, StagingLostError } from '../../../src/core/errors.ts';
import { splitRows } from '../../../src/encode/rows/copy-rows.ts';
import { COPY_COLUMNS } from '../../../src/encode/rows/event-columns.ts';
import { copyRows } from '../../../src/load/copy/copy-stream.ts';
import { sqlStateOf, classifyDatabaseError } from '../../../src/load/postgres/database-errors.ts';
import { ensureTarget, retypeTarget } from '../../../src/load/schema/ingested-events.ts';
import { copySql } from '../../../src/load/schema/staging.ts';
import { TEXT_IDS, UUID_IDS, claim, eventsOf, ids, pageOf, startLoading, targetRows, type Loading } from './setup.ts';
import { DATASYNC } from '../../support/datasync.ts';

const ADDED_RULES = `ALTER TABLE ingested_events ADD COLUMN tenant text DEFAULT 'main', ADD CHECK (tenant IS NOT NULL)`;

async function stagedIdTypes({ database }: Loading): Promise<string[]> {
  const { rows } = await database.query<{ type: string }>(
    `SELECT format_type(atttypid, atttypmod) AS type FROM pg_attribute
      WHERE attrelid IN ('ingestion.staging_a_1'::regclass, 'ingestion.staging_b_1'::regclass) AND attname = 'id'`,
  );
  return rows.map(({ type }) => type);
}

test('a target that got its types after an empty page has text ids of sixteen characters as they are', async (t) => {
  const loading = await startLoading(t, { types: UUID_IDS });
  const { loader, merger, db, database } = loading;
  await loader.load(pageOf([], { types: UUID_IDS }));
  assert.equal(await retypeTarget(db, DATASYNC, TEXT_IDS), 0);
  assert.deepEqual(await stagedIdTypes(loading), ['text', 'text']);
  const sixteen = ids('event-', 20).map((id) => id.padEnd(16, 'x'));
  await loader.load(pageOf(eventsOf(sixteen), { page: 2 }));
  assert.equal((await merger().merge('a', 2)).inserted, 20);
  assert.deepEqual(
    (await targetRows(database)).map(({ id }) => id),
    sixteen,
  );
});

test('a page whose rows were made for other types is not copied, and the error says what to do', async (t) => {
  const { loader, merger, database } = await startLoading(t, { types: UUID_IDS });
  const misfit = pageOf(eventsOf(['sixteen-letters!']), { types: TEXT_IDS });
  await assert.rejects(loader.load(misfit), (error) => {
    assert.ok(error instanceof StagedTypesError);
    assert.match(error.message, /window 1, page 1 were made for a column id of type text.* it is uuid.*start again/);
    return true;
  });
  assert.equal((await merger().merge('a', 0)).pages, 0);
  assert.deepEqual(await targetRows(database), []);
});

test('a staging table that was made anew under a connection is looked at again', async (t) => {
  const { loader, database } = await startLoading(t, { open: { copyConnections: 1 } });
  await loader.load(pageOf(eventsOf(['sixteen-letters!'])));
  // As another job would do it that starts while this one does not know of it.
  await database.query(`
    TRUNCATE ingestion.staging_a_1;
    ALTER TABLE ingestion.staging_a_1 RENAME TO old;
    CREATE UNLOGGED TABLE ingestion.staging_a_1 (LIKE ingestion.old);
    DROP TABLE ingestion.old;
    ALTER TABLE ingestion.staging_a_1 ALTER COLUMN id TYPE uuid USING NULL`);
  await assert.rejects(loader.load(pageOf(eventsOf(['sixteen-letters?']), { page: 2 })), StagingLostError);
  const { rows } = await database.query('SELECT FROM ingestion.staging_a_1');
  assert.deepEqual(rows, []);
});

test('staged rows of other types than the target are dropped with their pages, and fetched again', async (t) => {
  const before = await startLoading(t);
  await before.loader.load(pageOf(eventsOf(['a', 'b'])));
  await before.loader.load(pageOf([], { page: 2, table: 'b' }));
  await before.ownership.release();
  await before.database.query(
    'ALTER TABLE ingested_events ALTER COLUMN session_id TYPE uuid USING NULL, ALTER COLUMN user_id TYPE uuid USING NULL',
  );
  assert.equal(await ensureTarget(before.db, DATASYNC, TEXT_IDS), 2);
  const ownership = await claim(t, before.db);
  assert.equal(ownership.leftoverPages, 0);
  const [window] = await before.store.windows(before.runId);
  assert.equal(window?.safePages, 0);
  const { rows } = await before.database.query(
    `SELECT FROM ingestion.staging_a_1 UNION ALL SELECT FROM ingestion.staging_ledger_a_1 UNION ALL
     SELECT FROM ingestion.staging_ledger_b_1`,
  );
  assert.deepEqual(rows, []);
});

test('staged pages that are dropped under a running job make it begin anew from its state', async (t) => {
  const { loader, db, ownership } = await startLoading(t);
  await loader.load(pageOf(eventsOf(['a'])));
  assert.equal(await retypeTarget(db, DATASYNC, UUID_IDS), 1);
  const next = pageOf([], { page: 2 });
  await assert.rejects(loader.load(next), StagingLostError);
  await ownership.renew();
  await loader.load(next);
});

test('where staged rows do not fit, a table that is not there is no hindrance', async (t) => {
  const before = await startLoading(t);
  await before.loader.load(pageOf(eventsOf(['a'])));
  await before.ownership.release();
  await before.database.query(
    'DROP TABLE ingestion.staging_b_1, ingestion.staging_ledger_b_1, ingestion.staging_anomaly_b_1',
  );
  await before.database.query('ALTER TABLE ingested_events ALTER COLUMN session_id TYPE uuid USING NULL');
  assert.equal(await ensureTarget(before.db, DATASYNC, TEXT_IDS), 1);
  const made = `SELECT FROM pg_attribute WHERE attrelid = 'ingestion.staging_b_1'::regclass AND attname = 'session_id'
                   AND atttypid = 'uuid'::regtype`;
  assert.equal((await before.database.query(made)).rowCount, 1);
});

test('staged rows that fit are kept when their table is made anew', async (t) => {
  const before = await startLoading(t);
  await before.loader.load(pageOf(eventsOf(['a', 'b'])));
  await before.ownership.release();
  // As version 1.0.0 made it: with the target's rules, of which one is gone since.
  await before.database.query(
    `ALTER TABLE ingestion.staging_a_1 ADD CONSTRAINT gone CHECK (id <> 'c'), ADD COLUMN ingested_at timestamptz;
     COMMENT ON TABLE ingestion.staging_a_1 IS 'staging of ingested_events as defined by 0123456789abcdef'`,
  );
  const after = await startLoading(t, { database: before.database });
  assert.equal(after.ownership.leftoverPages, 1);
  await after.loader.load(pageOf(eventsOf(['c']), { page: 2 }));
  assert.equal((await after.merger().merge('a', null)).inserted, 3);
});

test('rules of the target are judged by the target', async (t) => {
  const before = await startLoading(t);
  await before.ownership.release();
  await before.database.query(ADDED_RULES);
  const { loader, merger, database } = await startLoading(t, { database: before.database });
  await loader.load(pageOf(eventsOf(['a', 'b'])));
  const result = await merger().merge('a', 1);
  assert.deepEqual([result.inserted, result.rejected], [2, 0]);
  const { rows } = await database.query('SELECT DISTINCT tenant FROM ingested_events');
  assert.deepEqual(rows, [{ tenant: 'main' }]);
});

test('a column of somebody else that has the name of one of staging does no harm', async (t) => {
  const before = await startLoading(t);
  await before.ownership.release();
  await before.database.query('ALTER TABLE ingested_events ADD COLUMN source_order text');
  const { loader, merger } = await startLoading(t, { database: before.database });
  await loader.load(pageOf(eventsOf(['a', 'b'])));
  assert.equal((await merger().merge('a', 1)).inserted, 2);
});

test('staging sorts ids as the key of the target does', async (t) => {
  const before = await startLoading(t);
  await before.ownership.release();
  await before.database.query('ALTER TABLE ingested_events ALTER COLUMN id TYPE text COLLATE "POSIX"');
  const { database } = await startLoading(t, { database: before.database });
  const { rows } = await database.query(
    `SELECT attcollation::regcollation::text AS collation FROM pg_attribute
      WHERE attrelid = 'ingestion.staging_a_1'::regclass AND attname = 'id'`,
  );
  assert.deepEqual(rows, [{ collation: '"POSIX"' }]);
});

test('an id column under which different ids are equal is refused, with its name and the reason', async (t) => {
  const before = await startLoading(t);
  const { database, db } = before;
  await database.query(
    `CREATE COLLATION careless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
     ALTER TABLE ingested_events ALTER COLUMN id TYPE text COLLATE careless`,
  );
  const refusal = { code: 'CONFIGURATION', message: /its column id.* nondeterministic collation careless/ };
  await assert.rejects(ensureTarget(db, DATASYNC, TEXT_IDS), refusal);
  await database.query(
    `ALTER TABLE ingested_events ALTER COLUMN id TYPE text COLLATE "default";
     CREATE UNIQUE INDEX another ON ingested_events (id COLLATE careless)`,
  );
  await assert.rejects(ensureTarget(db, DATASYNC, TEXT_IDS), refusal);
  await database.query('DROP INDEX another');
  await ensureTarget(db, DATASYNC, TEXT_IDS);
});

test('a rule on INSERT is refused: PostgreSQL takes no ON CONFLICT there', async (t) => {
  const { database, db } = await startLoading(t);
  await database.query('CREATE RULE aside AS ON INSERT TO ingested_events WHERE new.id IS NULL DO INSTEAD NOTHING');
  await assert.rejects(ensureTarget(db, DATASYNC, TEXT_IDS), { code: 'CONFIGURATION', message: /its rule "aside"/ });
  await database.query('ALTER TABLE ingested_events DISABLE RULE aside');
  await ensureTarget(db, DATASYNC, TEXT_IDS);
});

test('a field whose length does not fit its type is data for PostgreSQL, and costs one event', async (t) => {
  const { loader, merger, db, database } = await startLoading(t);
  const page = pageOf([...eventsOf(['a', 'b', 'c'])]);
  const { encoded } = page;
  const rows = shortenTime(new Uint8Array(encoded.rows, 0, encoded.rowsBytes), 1);
  const error: unknown = await db.connections
    .use('copy', 'a test', (client) =>
      copyRows(client, copySql(DATASYNC, 'a'), rows, { ms: 5_000, isExcused: () => false }),
    )
    .catch((caught: unknown) => caught);
  assert.equal(sqlStateOf(error), '08P01');
  assert.equal(classifyDatabaseError(error), 'data');
  const loaded = await loader.load({ ...page, encoded: { ...encoded, rows: rows.buffer, rowsBytes: rows.byteLength } });
  assert.deepEqual([loaded.loaded, loaded.rejected], [2, 1]);
  assert.equal((await merger().merge('a', 1)).inserted, 2);
  const kept = await database.query<{ event_id: string; original: Buffer }>('SELECT * FROM ingestion.anomaly');
  assert.deepEqual(
    kept.rows.map(({ event_id, original }) => [event_id, (JSON.parse(original.toString()) as { id: string }).id]),
    [['b', 'b']],
  );
});

/** The same stream with a time of four bytes, where the type has eight, in one row. */
function shortenTime(rows: Uint8Array, row: number): Uint8Array<ArrayBuffer> {
  const view = new DataView(rows.buffer, rows.byteOffset, rows.byteLength);
  let at = (splitRows(rows)[row] ?? assert.fail()) + 2;
  for (const { name } of COPY_COLUMNS) {
    if (name === 'occurred_at') break;
    at += 4 + Math.max(view.getInt32(at), 0);
  }
  assert.equal(view.getInt32(at), 8);
  view.setInt32(at, 4);
  return Uint8Array.from([...rows.subarray(0, at + 8), ...rows.subarray(at + 12)]);
}
