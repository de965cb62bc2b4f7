/** What others do in the moment in which the filled table takes the place of the target: nobody waits long, or loses anything. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countRows, isTargetUntouched } from '../../../src/load/state/target-rows.ts';
import { openClient } from '../../support/database.ts';
import { DATASYNC } from '../../support/datasync.ts';
import { eventsOf, eventually, ids, pageOf, startLoading, targetRows, type Loading } from './setup.ts';

const COUNT = 10;

/** @param meanwhile what somebody begins while the rows are moved, once */
async function merge({ loader, merger }: Loading, meanwhile: () => Promise<unknown>) {
  await loader.load(pageOf(eventsOf(ids('e', COUNT))));
  let begun: Promise<unknown> | undefined;
  return merger().merge('a', 1, async () => {
    await (begun ??= meanwhile());
    return null;
  });
}

/** What somebody may be changing without a lock on the table itself. */
const APART: Readonly<Record<string, readonly [statements: string, shown: string]>> = {
  'an option of its key': [
    'ALTER INDEX ingested_events_pkey SET (fillfactor = 50)',
    `EXISTS (SELECT FROM pg_class WHERE relname = 'ingested_events_pkey' AND reloptions IS NOT NULL)`,
  ],
  'a comment on its row type': [
    `COMMENT ON TYPE ingested_events IS 'ours'`,
    `obj_description('ingested_events'::regtype, 'pg_type') = 'ours'`,
  ],
};

for (const [what, [statements, shown]] of Object.entries(APART)) {
  test(`${what} that is not committed is not waited for, and stays`, async (t) => {
    const loading = await startLoading(t);
    const { database } = loading;
    const person = await openClient(t, database.url);
    const oid = await database.number(`'ingested_events'::regclass::oid::bigint`);
    const { inserted } = await merge(loading, () => person.query(`BEGIN; ${statements}`));
    await person.query('COMMIT');
    assert.equal(inserted, COUNT);
    assert.equal(await database.number(`'ingested_events'::regclass::oid::bigint`), oid);
    assert.deepEqual((await database.query(`SELECT ${shown} AS shown`)).rows, [{ shown: true }]);
    assert.equal((await targetRows(database)).length, COUNT);
  });
}

test('a dump that has the table, and waits for staging, is not ended', async (t) => {
  const loading = await startLoading(t);
  const { database } = loading;
  const dump = await openClient(t, database.url);
  let dumping: Promise<unknown> | undefined;
  const { inserted } = await merge(loading, async () => {
    await dump.query('BEGIN; LOCK TABLE ingested_events IN ACCESS SHARE MODE');
    dumping = dump.query('LOCK TABLE ingestion.staging_a_1 IN ACCESS SHARE MODE');
    await eventually(database, 'SELECT FROM pg_locks WHERE NOT granted');
  });
  await dumping;
  assert.equal(inserted, COUNT);
  assert.equal((await targetRows(database)).length, COUNT);
});

test('a key that goes with an extension stays as it is, and rows go through it', async (t) => {
  const loading = await startLoading(t);
  const { database } = loading;
  await database.query('ALTER INDEX ingested_events_pkey DEPENDS ON EXTENSION plpgsql');
  const { inserted } = await merge(loading, () => Promise.resolve());
  assert.equal(inserted, COUNT);
  const dependsOn = `SELECT count(*) FROM pg_depend WHERE objid = 'ingested_events_pkey'::regclass AND deptype = 'x'`;
  assert.equal(await database.number(dependsOn), 1);
});

test('a table of somebody that has the name of the table beside is left alone', async (t) => {
  const loading = await startLoading(t);
  const { database } = loading;
  await database.query(`CREATE TABLE ingestion_beside_1 AS SELECT 'mine' AS id`);
  assert.equal((await merge(loading, () => Promise.resolve())).isInitialMerge, true);
  assert.deepEqual((await database.query('SELECT id FROM ingestion_beside_1')).rows, [{ id: 'mine' }]);
});

test('rows that somebody has deleted are not forgotten with the table that had them', async (t) => {
  const loading = await startLoading(t);
  const { database, db, loader, merger, ownership, store } = loading;
  await store.rememberRows(await countRows(db, DATASYNC));
  await merge(loading, () => Promise.resolve());
  await database.query('DELETE FROM ingested_events');
  await database.query('VACUUM ingested_events');
  assert.equal(await database.number(`pg_relation_size('ingested_events')`), 0);
  await loader.load(pageOf(eventsOf(ids('f', 5)), { page: 2 }));
  assert.equal((await merger().merge('a', 1)).isInitialMerge, true);
  const own = { inserted: COUNT + 5, epoch: ownership.epoch };
  assert.equal(await isTargetUntouched(db, DATASYNC, own), false);
  const { rows, remembered } = await countRows(db, DATASYNC);
  assert.deepEqual([rows, remembered], [5, COUNT + 5]);
});
