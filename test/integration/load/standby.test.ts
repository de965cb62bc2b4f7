import assert from 'node:assert/strict';
import { test } from 'node:test';
import { classifyDatabaseError } from '../../../src/load/postgres/database-errors.ts';
import { OwnerLock } from '../../../src/load/state/advisory-lock.ts';
import { testDatabase } from '../../support/database.ts';
import { SILENT, eventually, openDatabase, startLoading } from './setup.ts';

test('a standby whose session is ended waits for the database, as after a restart of the server', async (t) => {
  const database = await testDatabase(t);
  await startLoading(t, { database });
  const db = await openDatabase(t, database.url);
  const leader = new OwnerLock(db, 'theirs', SILENT);
  await leader.acquire(null);
  t.after(() => leader.release());
  const waiting = new OwnerLock(db, 'theirs', SILENT).acquire(new AbortController().signal);
  const failed = assert.rejects(waiting, (error) => classifyDatabaseError(error) === 'transient');
  // It holds the lock that all share, and not that of the source.
  const standby = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity a
    WHERE datname = current_database() AND application_name LIKE '%owner' AND state = 'idle' AND query LIKE '%pg_try_advisory%'
      AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND classid = 229090589)`;
  await eventually(database, standby);
  await failed;
});
