import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testDatabase } from '../../support/database.ts';
import { tcpProxy } from '../../support/tcp-proxy.ts';
import { eventsOf, eventually, ids, openDatabase, pageOf, startLoading } from './setup.ts';
import type { Loading } from './setup.ts';
import type { TcpProxy } from '../../support/tcp-proxy.ts';
import type { TestContext } from 'node:test';

/** Checks are fast here; how often they look is all that differs. */
async function loadingThroughProxy(t: TestContext): Promise<Loading & { proxy: TcpProxy }> {
  const database = await testDatabase(t);
  const proxy = await tcpProxy(t, database.url);
  const url = proxy.urlFor(database.url);
  const loading = await startLoading(t, { database, url, watchdogMs: 400, open: { watchMs: 50 } });
  return { ...loading, proxy };
}

/** A merge that waits for the test, and the process number of its backend. */
async function withHeldMerge<T>(
  t: TestContext,
  { database, merger }: Loading,
  work: (merge: ReturnType<ReturnType<Loading['merger']>['merge']>, pid: unknown) => Promise<T>,
): Promise<T> {
  const holder = await openDatabase(t, database.url);
  return holder.transaction('holding', async (client) => {
    await client.query('LOCK TABLE ingestion.staging_a_1 IN ACCESS SHARE MODE');
    const merge = merger().merge('a', 1);
    const { pid } = await eventually(
      database,
      `SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE '%merge' AND wait_event_type = 'Lock'`,
    );
    return work(merge, pid);
  });
}

test('connections that a firewall has forgotten are made again for reads, pages and merges, and not waited for at the end', async (t) => {
  const { loader, merger, store, db, ownership, proxy } = await loadingThroughProxy(t);
  await loader.load(pageOf(eventsOf(ids('a', 10))));
  proxy.forget();
  assert.equal((await store.currentRun())?.counts.pages, 0);
  proxy.forget();
  assert.equal((await loader.load(pageOf(eventsOf(ids('b', 10)), { page: 2 }))).loaded, 10);
  proxy.forget();
  assert.equal((await merger().merge('a', 2)).inserted, 20);
  proxy.forget();
  await ownership.release();
  await db.close();
});

test('a merge that takes its time is left alone, however often the server is asked about it', async (t) => {
  const loading = await loadingThroughProxy(t);
  const { loader, database, proxy } = loading;
  await loader.load(pageOf(eventsOf(ids('a', 10))));
  const { merge } = await withHeldMerge(t, loading, async (merge, pid) => {
    const accepted = proxy.accepted + 5;
    await proxy.waitForConnections(accepted);
    await eventually(database, 'SELECT FROM pg_stat_activity WHERE pid = $1', [pid]);
    return { merge };
  });
  assert.equal((await merge).inserted, 10);
});

test('a merge whose connection is forgotten under it is done again, once, and its backend is ended', async (t) => {
  const loading = await loadingThroughProxy(t);
  const { loader, store, database, proxy } = loading;
  await loader.load(pageOf(eventsOf(ids('a', 10))));
  const { merge, pid } = await withHeldMerge(t, loading, (merge, pid) => {
    proxy.forget();
    return Promise.resolve({ merge, pid });
  });
  assert.deepEqual([(await merge).pages, (await merge).inserted], [1, 10]);
  await eventually(database, 'SELECT WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)', [pid]);
  assert.equal((await store.currentRun())?.counts.inserted, 10);
});

test('a network that carries nothing at all is announced as an outage, which ends when it carries again', async (t) => {
  const database = await testDatabase(t);
  const proxy = await tcpProxy(t, database.url);
  const waiting: (string | null)[] = [];
  const { store } = await startLoading(t, {
    database,
    url: proxy.urlFor(database.url),
    open: { watchMs: 50, connectTimeoutMs: 100, onWaiting: (reason) => waiting.push(reason) },
  });
  await store.currentRun();
  proxy.setMode('black-hole');
  const reading = store.currentRun();
  while (waiting.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  proxy.setMode('pass');
  assert.equal((await reading)?.status, 'running');
  assert.equal(waiting.at(-1), null);
});
