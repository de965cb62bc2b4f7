/** What is remembered of the target's rows changes with them, and only by our own hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readNewestRun } from '../../../src/load/state/run-reader.ts';
import { readTargetRows, rememberTargetRows } from '../../../src/load/state/target-rows.ts';
import { takeBackVersion3 } from '../../support/stored-run.ts';
import { eventsOf, ids, pageOf, startLoading } from './setup.ts';

test('merges, a reset and a proof say how many rows the target should have; what others delete shows', async (t) => {
  const { db, database, loader, merger } = await startLoading(t);
  assert.deepEqual(await readTargetRows(db), { rows: 0, remembered: null });
  await loader.load(pageOf(eventsOf(ids('a', 40))));
  await merger().merge('a', 1);
  assert.deepEqual(await readTargetRows(db), { rows: 40, remembered: 40 });
  // 20 of them again: they are duplicates, and no rows.
  await loader.load(pageOf(eventsOf([...ids('a', 20), ...ids('b', 5)]), { page: 2 }));
  await merger().merge('a', 1);
  assert.deepEqual(await readTargetRows(db), { rows: 45, remembered: 45 });
  await database.query("DELETE FROM ingested_events WHERE id LIKE 'b%'");
  assert.deepEqual(await readTargetRows(db), { rows: 40, remembered: 45 });
  await db.transaction('proof', (client) => rememberTargetRows(client, 40));
  assert.deepEqual(await readTargetRows(db), { rows: 40, remembered: 40 });
  await database.query('DROP TABLE ingested_events');
  assert.deepEqual(await readTargetRows(db), { rows: 0, remembered: 40 });
});

test('an emptied target is remembered as empty, and rows that were there before are not counted', async (t) => {
  const { db, database, loader, merger, store } = await startLoading(t);
  await database.query("INSERT INTO ingested_events (id) VALUES ('of somebody else')");
  await loader.load(pageOf(eventsOf(ids('a', 3))));
  await merger().merge('a', 1);
  assert.deepEqual(await readTargetRows(db), { rows: 4, remembered: null });
  await store.resetTarget();
  assert.deepEqual(await readTargetRows(db), { rows: 0, remembered: 0 });
});

test('the runs of a database that only an older version has used can be read', async (t) => {
  const { db, database, runId } = await startLoading(t);
  await takeBackVersion3(database);
  const run = await readNewestRun(db);
  assert.deepEqual([run?.runId, run?.proof], [runId, null]);
});
