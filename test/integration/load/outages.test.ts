import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { ConfigurationError, GaveUpError } from '../../../src/core/errors.ts';
import { databaseIn, testCluster, testDatabase, type TestDatabase } from '../../support/database.ts';
import { tcpProxy, type TcpProxy } from '../../support/tcp-proxy.ts';
import { eventsOf, eventually, ids, openDatabase, pageOf, startLoading, targetRows, type Loading } from './setup.ts';

/** Every COMMIT of the database waits, done but unanswered, for a standby that does not exist, until the result is called. */
async function holdCommits(t: TestContext, database: TestDatabase): Promise<() => Promise<void>> {
  const { cluster } = database;
  await cluster.query(`ALTER SYSTEM SET synchronous_standby_names = 'nobody'`);
  await cluster.query('SELECT pg_reload_conf()');
  // The setting takes effect some time after: when a first COMMIT is held.
  const prober = await openDatabase(t, database.url);
  const probe = { held: false };
  const probing = (async () => {
    while (!probe.held) await prober.query('CREATE TABLE IF NOT EXISTS probe (n int); INSERT INTO probe VALUES (1)');
  })();
  await eventually(database, COMMIT_IS_HELD, ['query']);
  probe.held = true;
  return async () => {
    await cluster.query('ALTER SYSTEM RESET synchronous_standby_names');
    await cluster.query('SELECT pg_reload_conf()');
    await probing;
  };
}

const COMMIT_IS_HELD = `SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name LIKE '%' || $1`;

/** A job behind a proxy, in a cluster whose commits can be held. */
async function holdableLoading(t: TestContext): Promise<Loading & { proxy: TcpProxy }> {
  const cluster = await testCluster(t);
  const database = await databaseIn(t, cluster);
  await database.query(`ALTER DATABASE ${database.name} SET synchronous_commit = 'on'`);
  const proxy = await tcpProxy(t, database.url);
  const loading = await startLoading(t, { database, url: proxy.urlFor(database.url) });
  return { ...loading, proxy };
}

test('a page whose COMMIT was never answered is found in the ledger and not loaded twice', async (t) => {
  const database = await testDatabase(t);
  const proxy = await tcpProxy(t, database.url);
  const { loader, merger } = await startLoading(t, { database, url: proxy.urlFor(database.url) });
  await loader.load(pageOf(eventsOf(['warm'])));
  // What is deferred runs inside COMMIT: there it waits for the test. A page's COMMIT waits for no standby, so that holds none.
  await database.query(
    `CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
     CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON ingestion.staging_ledger_a_1
       DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold()`,
  );
  const holder = await openDatabase(t, database.url);
  const loading = await holder.transaction('holding', async (client) => {
    await client.query('SELECT pg_advisory_xact_lock(1)');
    const page = loader.load(pageOf(eventsOf(ids('a', 10)), { page: 2 }));
    await eventually(
      database,
      `SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE '%copy' AND wait_event = 'advisory'`,
    );
    proxy.setMode('black-hole');
    return { page };
  });
  await eventually(database, 'SELECT FROM ingestion.staging_ledger_a_1 WHERE page = 2');
  proxy.cut();
  proxy.setMode('pass');
  assert.equal((await loading.page).loaded, 10);
  const result = await merger().merge('a', 2);
  assert.deepEqual([result.loaded, result.inserted, result.duplicates], [11, 11, 0]);
});

test('a merge whose COMMIT was never answered is not done twice, and its result is known', async (t) => {
  const { loader, merger, store, database, proxy } = await holdableLoading(t);
  await loader.load(pageOf(eventsOf(ids('a', 10))));
  const release = await holdCommits(t, database);
  const merging = merger().merge('a', 1);
  await eventually(database, COMMIT_IS_HELD, ['merge']);
  proxy.setMode('black-hole');
  await release();
  await eventually(database, 'SELECT FROM ingested_events');
  proxy.cut();
  proxy.setMode('pass');
  const result = await merging;
  assert.deepEqual([result.pages, result.inserted, result.isInitialMerge], [1, 10, true]);
  assert.equal((await store.currentRun())?.counts.inserted, 10);
});

test('a window that was split by an unanswered COMMIT is split once', async (t) => {
  const { store, runId, database, proxy } = await holdableLoading(t);
  const release = await holdCommits(t, database);
  const splitting = store.splitWindow(runId, 1, [5_000]);
  await eventually(database, COMMIT_IS_HELD, ['windows']);
  proxy.setMode('black-hole');
  await release();
  await eventually(database, 'SELECT FROM ingestion.state WHERE window_id = 2');
  proxy.cut();
  proxy.setMode('pass');
  assert.deepEqual(
    (await splitting).map(({ windowId, untilMs }) => [windowId, untilMs]),
    [[2, 5_000]],
  );
  assert.equal((await store.windows(runId)).length, 2);
});

test('a COPY whose network goes silent and is then cut is loaded again, and leaves no session behind', async (t) => {
  const database = await testDatabase(t);
  const proxy = await tcpProxy(t, database.url);
  const { loader, merger } = await startLoading(t, { database, url: proxy.urlFor(database.url) });
  await loader.load(pageOf(eventsOf(['warm'])));
  const swallowedBefore = proxy.bytesSwallowed;
  proxy.setMode('black-hole');
  const loading = loader.load(pageOf(eventsOf(ids('a', 4000), { filler: 'x'.repeat(400) }), { page: 2 }));
  while (proxy.bytesSwallowed === swallowedBefore) await new Promise((resolve) => setImmediate(resolve));
  proxy.cut();
  proxy.setMode('pass');
  assert.equal((await loading).loaded, 4000);
  assert.equal((await merger().merge('a', 2)).inserted, 4001);
  const left = await database.query(
    `SELECT FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'`,
  );
  assert.equal(left.rowCount, 0);
});

test('a COPY that makes no progress is given up by its watchdog, and its backend is ended', async (t) => {
  const { loader, merger, database } = await startLoading(t, { watchdogMs: 300 });
  await loader.load(pageOf(eventsOf(['warm'])));
  const holder = await openDatabase(t, database.url);
  const { page } = await holder.transaction('holding', async (client) => {
    await client.query('LOCK TABLE ingestion.staging_a_1 IN ACCESS EXCLUSIVE MODE');
    const loading = loader.load(pageOf(eventsOf(ids('a', 100)), { page: 2 }));
    const stuck = await eventually(
      database,
      `SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE '%copy' AND wait_event_type = 'Lock'`,
    );
    await eventually(database, 'SELECT WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)', [stuck['pid']]);
    return { page: loading };
  });
  assert.equal((await page).loaded, 100);
  assert.equal((await merger().merge('a', 2)).inserted, 101);
});

test('terminated sessions cost a second try: pages and merges come through, each once', async (t) => {
  const { loader, merger, database } = await startLoading(t);
  // Four at most, each in the middle of its work: with more, nothing would come through on a busy machine.
  const terminator = { busy: true, left: 4 };
  const terminating = (async () => {
    while (terminator.busy && terminator.left > 0) {
      const { rowCount } = await database.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND application_name ~ '(copy|merge)$' AND state <> 'idle' AND random() < 0.1
          LIMIT 1`,
      );
      terminator.left -= rowCount ?? 0;
    }
  })();
  for (let round = 0; round < 4; round += 1) {
    await Promise.all(
      [1, 2, 3, 4].map((page) =>
        loader.load(pageOf(eventsOf(ids(`r${round}p${page}-`, 200)), { page: round * 4 + page })),
      ),
    );
    const result = await merger().merge('a', 4);
    assert.deepEqual([result.pages, result.inserted, result.duplicates], [4, 800, 0]);
  }
  terminator.busy = false;
  await terminating;
  assert.ok(terminator.left < 4, 'some were terminated');
  assert.equal((await targetRows(database)).length, 3200);
});

test('a clean restart under a loading job is waited out, said once, and nothing is lost', async (t) => {
  const cluster = await testCluster(t);
  const database = await databaseIn(t, cluster);
  const waiting: (string | null)[] = [];
  const { loader, merger } = await startLoading(t, { database, open: { onWaiting: (reason) => waiting.push(reason) } });
  await loader.load(pageOf(eventsOf(['a'])));
  await cluster.stop('fast');
  const pages = [2, 3, 4].map((page) => loader.load(pageOf(eventsOf([`p${page}`]), { page })));
  while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
  await cluster.start();
  await Promise.all(pages);
  assert.equal(waiting.filter((reason) => reason !== null).length, 1);
  assert.equal(waiting.at(-1), null);
  assert.equal((await merger().merge('a', 4)).inserted, 4);
});

test('a database that stays away ends the job with code 4 after the longest wait', async (t) => {
  const cluster = await testCluster(t);
  const database = await databaseIn(t, cluster);
  const { loader } = await startLoading(t, { database, open: { maxWaitMs: 300 } });
  await cluster.stop('fast');
  await assert.rejects(loader.load(pageOf(eventsOf(['a']))), (error: unknown) => {
    assert.ok(error instanceof GaveUpError);
    assert.equal(error.exitCode, 4);
    assert.match(error.message, /start again/);
    return true;
  });
});

test('a deadlock with somebody else costs a second try of the merge', async (t) => {
  const { loader, merger, database, db } = await startLoading(t);
  await loader.load(pageOf(eventsOf(['a', 'z'])));
  await merger('update').merge('a', 1);
  const newer = eventsOf(['a', 'z'], { name: 'new', timestamp: 1_800_000_000_000 });
  await loader.load(pageOf(newer, { page: 2 }));
  const { merging } = await db.transaction('somebody', async (client) => {
    // PostgreSQL ends the one whose patience is over first: the merge.
    await client.query(`SET LOCAL deadlock_timeout = '10s'`);
    await client.query(`UPDATE ingested_events SET browser = 'x' WHERE id = 'z'`);
    const merging = merger('update').merge('a', 1);
    await eventually(
      database,
      `SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE '%merge' AND wait_event_type = 'Lock'`,
    );
    await client.query(`UPDATE ingested_events SET browser = 'x' WHERE id = 'a'`);
    return { merging };
  });
  assert.equal((await merging).updated, 2);
  assert.deepEqual(await targetRows(database), [
    { id: 'a', name: 'new' },
    { id: 'z', name: 'new' },
  ]);
});

test('a connection that is cut while checked out, or idle, does not end the process', async (t) => {
  const database = await testDatabase(t);
  const proxy = await tcpProxy(t, database.url);
  const db = await openDatabase(t, proxy.urlFor(database.url), { copyConnections: 1 });
  await assert.rejects(
    db.transaction('nothing', async (client) => {
      proxy.reset();
      await client.query('SELECT 1');
    }),
  );
  await db.persistently('asking', () => db.query('SELECT 1'));
  proxy.reset();
  await db.persistently('asking', () => db.query('SELECT 1'));
});

test('watchers learn why the first contact takes long, and that it is over', async (t) => {
  const { url } = await testDatabase(t);
  const waits: (string | null)[] = [];
  const nowhere = new URL(url);
  nowhere.port = '1';
  await assert.rejects(
    openDatabase(t, nowhere.href, { firstContactMs: 1_000, onWaiting: (reason) => waits.push(reason) }),
    ConfigurationError,
  );
  assert.match(waits[0] ?? '', /ECONNREFUSED/);
  assert.equal(waits.at(-1), null);
  await openDatabase(t, url, { onWaiting: (reason) => waits.push(reason) });
  assert.equal(waits.at(-1), null);
});
