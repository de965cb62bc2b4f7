/** Merges beside people who use the same tables: nobody's transaction dies of the job's locks, and readers hold up no merge. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
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
