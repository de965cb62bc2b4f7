/** The three ways to lose rows without an error, each with the scene in which the naive way does lose them. */
import { countProof } from '../../support/stored-run.ts';
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import pg from 'pg';
import { StagingLostError, TargetBusyError } from '../../../src/core/errors.ts';
import { CopyLoader } from '../../../src/load/copy/copy-loader.ts';
import { Merger } from '../../../src/load/merge/merge.ts';
import type { Ownership } from '../../../src/load/state/owner.ts';
import { StateStore } from '../../../src/load/state/state-store.ts';
import { databaseIn, testCluster, type TestDatabase } from '../../support/database.ts';
import {
  SILENT,
  claim,
  eventsOf,
  eventually,
  ids,
  openDatabase,
  pageOf,
  startLoading,
  targetRows,
  type Loading,
  claimAs,
} from './setup.ts';

/** A session of nobody's, or of a job that is dead: what it does, the test does by hand. */
async function session(t: TestContext, url: string, applicationName = 'test'): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: applicationName });
  client.on('error', () => undefined);
  await client.connect();
  t.after(() => client.end().catch(() => undefined));
  return client;
}

const LEDGER_ROW = `INSERT INTO ingestion.staging_ledger_a_1
  (run_id, window_id, page, generation, ends_window, suspect, served, loaded, rejected, repaired)
  SELECT 1, 1, 2, generation, false, false, 1, 1, 0, 0 FROM ingestion.owner WHERE generation = $1 FOR SHARE`;

async function waitingForLock(database: TestDatabase, purpose: string): Promise<void> {
  await eventually(
    database,
    `SELECT FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name LIKE '%' || $1`,
    [purpose],
  );
}

/** Ends the session that holds the advisory lock; the job's other sessions live. */
async function endLockSession(database: TestDatabase): Promise<void> {
  await database.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name LIKE '% owner'`,
  );
}

function mergerOf(first: Loading, ownership: Ownership): Merger {
  return new Merger({ db: first.db, ownership, runId: first.runId, onConflict: 'ignore', logger: SILENT });
}

async function targetIds(database: TestDatabase): Promise<string[]> {
  return (await targetRows(database)).map(({ id }) => id);
}

test('trap 1, the naive way: a page that commits between INSERT … SELECT and TRUNCATE is gone', async (t) => {
  const { database, loader } = await startLoading(t);
  await loader.load(pageOf(eventsOf(['a'])));
  const merging = await session(t, database.url);
  await merging.query('BEGIN');
  await merging.query('INSERT INTO ingested_events SELECT id FROM ingestion.staging_a_1');
  await loader.load(pageOf(eventsOf(['b']), { page: 2 }));
  await merging.query('TRUNCATE ingestion.staging_a_1');
  await merging.query('COMMIT');
  const all = await database.query('SELECT id FROM ingested_events UNION ALL SELECT id FROM ingestion.staging_a_1');
  assert.deepEqual(all.rows, [{ id: 'a' }]);
});

test('trap 1: a merge waits for a page that is still in its COPY, and takes it along', async (t) => {
  const { database, loader, merger, ownership } = await startLoading(t);
  await loader.load(pageOf(eventsOf(['a'])));
  const copying = await session(t, database.url);
  await copying.query('BEGIN');
  await copying.query(`INSERT INTO ingestion.staging_a_1 (id, source_order) VALUES ('b', 1)`);
  const merged = merger().merge('a', 2);
  await waitingForLock(database, 'merge');
  await copying.query(LEDGER_ROW, [ownership.generation]);
  await copying.query('COMMIT');
  assert.equal((await merged).inserted, 2);
  assert.deepEqual(await targetIds(database), ['a', 'b']);
});

test('trap 1: pages of the other table are copied while one is merged, and none is lost', async (t) => {
  const { database, loader, merger, store } = await startLoading(t, { open: { copyConnections: 3 } });
  let page = 0;
  const expected: string[] = [];
  const fill = async (table: 'a' | 'b'): Promise<void> => {
    await Promise.all(
      Array.from({ length: 6 }, () => {
        page += 1;
        const own = ids(`p${page}-`, 50);
        expected.push(...own);
        return loader.load(pageOf(eventsOf(own), { page, table }));
      }),
    );
  };
  await fill('a');
  for (let round = 0; round < 6; round += 1) {
    const [full, next] = round % 2 === 0 ? (['a', 'b'] as const) : (['b', 'a'] as const);
    await Promise.all([merger(round % 3 === 0 ? 'update' : 'ignore').merge(full, 6), fill(next)]);
  }
  await merger().merge('a', 6);
  assert.deepEqual(await targetIds(database), expected.sort());
  assert.equal((await store.windows(1))[0]?.safePages, page);
});

test('trap 2: a backend killed by the kernel empties staging under a living job, which notices and goes on', async (t) => {
  const database = await databaseIn(t, await testCluster(t));
  const { db, loader, merger, ownership, store, runId } = await startLoading(t, { database });
  await loader.load(pageOf(eventsOf(['a'])));
  await merger().merge('a', 1);
  await loader.load(pageOf(eventsOf(['b']), { page: 2 }));
  const scene = `SELECT pg_postmaster_start_time()::text AS at, (SELECT count(*)::int FROM ingestion.staging_a_1) AS staged`;
  const [before] = (await db.query<{ at: string; staged: number }>(scene)).rows;
  assert.equal(before?.staged, 1);
  const victim = await database.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  database.cluster.killBackend(victim.rows[0]?.pid ?? assert.fail());
  await eventuallyLost(loader);
  // A new connection sees no difference, except that the acknowledged page is gone.
  assert.deepEqual((await db.query(scene)).rows, [{ at: before.at, staged: 0 }]);
  await assert.rejects(merger().merge('a', 2), StagingLostError);
  await assert.rejects(merger().merge('a', null), StagingLostError);
  const generation = ownership.generation;
  await ownership.renew();
  assert.equal(ownership.generation, generation + 1);
  assert.equal((await store.windows(runId))[0]?.safePages, 1);
  await loader.load(pageOf(eventsOf(['b']), { page: 2 }));
  await loader.load(pageOf(eventsOf(['c']), { page: 3 }));
  await merger().merge('a', 2);
  assert.deepEqual(await targetIds(database), ['a', 'b', 'c']);
  assert.equal((await store.windows(runId))[0]?.safePages, 3);
});

/** The server takes a moment to notice that a backend died: pages copied before that are lost too. */
async function eventuallyLost(loader: CopyLoader): Promise<void> {
  for (let page = 100; ; page += 1) {
    try {
      await loader.load(pageOf(eventsOf([`lost${page}`]), { page }));
    } catch (error) {
      assert.ok(error instanceof StagingLostError);
      return;
    }
  }
}

test('trap 2: a start after a clean restart merges what is staged, one after a crash finds nothing to merge', async (t) => {
  const cluster = await testCluster(t);
  const database = await databaseIn(t, cluster);
  const first = await startLoading(t, { database });
  const claimAgain = (): Promise<Ownership> => first.db.persistently('claiming', () => claimAs(first.db, 'here', 2));
  await first.loader.load(pageOf(eventsOf(['a'])));
  await first.ownership.release();
  await cluster.restart('fast');
  const second = await claimAgain();
  assert.equal(second.leftoverPages, 1);
  assert.equal((await mergerOf(first, second).merge('a', null)).inserted, 1);
  const loader = new CopyLoader({ db: first.db, ownership: second, runId: first.runId, logger: SILENT });
  await loader.load(pageOf(eventsOf(['b']), { page: 2 }));
  await second.release();
  await cluster.restart('immediate');
  const third = await claimAgain();
  assert.equal(third.leftoverPages, 0);
  await third.release();
  await database.query('SELECT 1').catch(() => undefined);
  assert.deepEqual(await targetIds(database), ['a']);
});

test('trap 3, the naive way: a check of the generation that holds nothing lets an orphan commit late', async (t) => {
  const { database, ownership } = await startLoading(t);
  const orphan = await session(t, database.url);
  await orphan.query('BEGIN');
  const check = await orphan.query('SELECT FROM ingestion.owner WHERE generation = $1', [ownership.generation]);
  assert.equal(check.rowCount, 1);
  await database.query('UPDATE ingestion.owner SET generation = generation + 1');
  await orphan.query(`INSERT INTO ingestion.staging_a_1 (id, source_order) VALUES ('late', 1)`);
  await orphan.query('COMMIT');
  assert.equal((await database.query('SELECT FROM ingestion.staging_a_1')).rowCount, 1);
});

test('trap 3: a job that lost its lock without noticing is fenced by its generation, wherever it writes', async (t) => {
  const first = await startLoading(t);
  await first.loader.load(pageOf(eventsOf(['a'])));
  await endLockSession(first.database);
  const db = await openDatabase(t, first.database.url);
  const second = await claim(t, db);
  assert.equal(second.leftoverPages, 1);
  await assert.rejects(first.loader.load(pageOf(eventsOf(['late']), { page: 2 })), TargetBusyError);
  await assert.rejects(first.merger().merge('a', 1), TargetBusyError);
  await assert.rejects(first.store.addCatchUp(first.runId, 1), TargetBusyError);
  await assert.rejects(first.store.completeRun(first.runId, { proof: countProof(1) }), TargetBusyError);
  await assert.rejects(first.store.resetTarget(), TargetBusyError);
  await assert.rejects(claimAs(first.db, 'here', 3), TargetBusyError);
  assert.equal((await mergerOf({ ...first, db }, second).merge('a', null)).inserted, 1);
  assert.deepEqual(await targetIds(first.database), ['a']);
});

test('trap 3: a job on another machine that lost its lock cannot make staging its own again', async (t) => {
  const first = await startLoading(t);
  await endLockSession(first.database);
  const other = await claimAs(await openDatabase(t, first.database.url), 'there', 1);
  await assert.rejects(first.ownership.renew(), TargetBusyError);
  await other.release();
});

test('trap 3: an orphan in the middle of its COPY is ended by the next start and changes nothing', async (t) => {
  const first = await startLoading(t);
  await first.loader.load(pageOf(eventsOf(['a'])));
  const orphan = await session(t, first.database.url, 'datasync-ingestion copy');
  await orphan.query('BEGIN');
  await orphan.query(`INSERT INTO ingestion.staging_a_1 (id, source_order) VALUES ('late', 1)`);
  await first.ownership.release();
  const second = await claim(t, first.db);
  assert.equal(second.leftoverPages, 1);
  await assert.rejects(orphan.query('COMMIT'));
  assert.equal((await mergerOf(first, second).merge('a', null)).inserted, 1);
  assert.deepEqual(await targetIds(first.database), ['a']);
});

test('trap 3: an orphan that sits on its generation keeps the next start waiting for a second only', async (t) => {
  const first = await startLoading(t);
  const orphan = await session(t, first.database.url, 'datasync-ingestion copy');
  await orphan.query('BEGIN');
  await orphan.query(`INSERT INTO ingestion.staging_a_1 (id, source_order) VALUES ('late', 1)`);
  assert.equal((await orphan.query(LEDGER_ROW, [first.ownership.generation])).rowCount, 1);
  await first.ownership.release();
  const second = await claim(t, first.db);
  assert.equal(second.leftoverPages, 0);
  await assert.rejects(orphan.query('COMMIT'));
});

test('trap 3: an orphan whose COMMIT comes just before its successor is raised belongs to the leftovers', async (t) => {
  const first = await startLoading(t);
  const orphan = await session(t, first.database.url, 'datasync-ingestion copy');
  await orphan.query('BEGIN');
  await orphan.query(`INSERT INTO ingestion.staging_a_1 (id, source_order) VALUES ('just', 1)`);
  await orphan.query(LEDGER_ROW, [first.ownership.generation]);
  await first.ownership.release();
  const claimed = claim(t, first.db);
  await waitingForLock(first.database, 'start');
  await orphan.query('COMMIT');
  const second = await claimed;
  assert.equal(second.leftoverPages, 1);
  assert.equal((await mergerOf(first, second).merge('a', null)).inserted, 1);
});

test('leftovers with a gap are merged whole, and are safe up to the gap only', async (t) => {
  const first = await startLoading(t);
  for (const page of [1, 2, 4, 5]) {
    const table = page > 2 ? 'b' : 'a';
    await first.loader.load(pageOf(eventsOf([`p${page}`]), { page, table, ledger: { endsWindow: page === 5 } }));
  }
  await first.ownership.release();
  const second = await claim(t, first.db);
  assert.equal(second.leftoverPages, 4);
  await mergerOf(first, second).mergeLeftovers();
  assert.deepEqual(await targetIds(first.database), ['p1', 'p2', 'p4', 'p5']);
  const store = new StateStore(first.db, second);
  const [window] = await store.windows(first.runId);
  assert.deepEqual([window?.safePages, window?.cursor, window?.complete], [2, 'cursor-1-2', false]);
  assert.equal((await store.currentRun())?.counts.pages, 4);
});

test('leftovers are safe to their last page, whichever staging table was the current one when their job died', async (t) => {
  const first = await startLoading(t);
  for (const page of [1, 2, 3, 4]) {
    const table = page > 2 ? 'a' : 'b';
    await first.loader.load(pageOf(eventsOf([`p${page}`]), { page, table }));
  }
  await first.ownership.release();
  const second = await claim(t, first.db);
  await mergerOf(first, second).mergeLeftovers();
  assert.deepEqual(await targetIds(first.database), ['p1', 'p2', 'p3', 'p4']);
  const [window] = await new StateStore(first.db, second).windows(first.runId);
  assert.deepEqual([window?.safePages, window?.cursor], [4, 'cursor-1-4']);
});

test('a second job on the same target ends at once and says who holds it; the lock of a dead one is free', async (t) => {
  const first = await startLoading(t);
  const other = await openDatabase(t, first.database.url);
  const startedMs = Date.now();
  await assert.rejects(claimAs(other, 'elsewhere', 1), (error: unknown) => {
    assert.ok(error instanceof TargetBusyError);
    assert.match(error.message, new RegExp(`process ${process.pid} on here, since 20`));
    return true;
  });
  assert.ok(Date.now() - startedMs < 5_000);
  // The refused one has changed nothing: the first goes on.
  await first.loader.load(pageOf(eventsOf(['a'])));
  await endLockSession(first.database);
  const second = await claimAs(other, 'elsewhere', 1);
  await second.release();
});
