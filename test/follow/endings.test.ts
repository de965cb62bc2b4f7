/** What time can mend is waited for, from the first contact on; what only a person can mend ends the job with its code. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { openClient, testCluster } from '../support/database.ts';
import { GrowingList, MINUTE_MS } from '../support/follow/growing-list.ts';
import type { JobEnd } from '../support/ingestion.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

const WAITED = ['waiting until it can go on; nothing is lost', 'going on after the wait'];

function waitsTold(list: GrowingList, end: JobEnd): string[] {
  return list.told(end).filter((message) => WAITED.includes(message));
}

async function behindProxy(t: TestContext, list: GrowingList): Promise<TcpProxy> {
  const proxy = await TcpProxy.start({ host: '127.0.0.1', port: Number(new URL(list.api.baseUrl).port) });
  t.after(() => proxy.close());
  list.baseUrl = proxy.urlFor(list.api.baseUrl);
  return proxy;
}

for (const endpoint of ['auto', 'events']) {
  void test(`a start waits for an API that is away (--endpoint ${endpoint}), says so once, and once when it goes on`, async (t) => {
    const list = await GrowingList.open(t);
    list.grow(300);
    const proxy = await behindProxy(t, list);
    proxy.setMode('refuse');
    const pauses: number[] = [];
    const end = await list.follow(
      (wait, forMs) => {
        pauses.push(forMs);
        if (wait === 20) proxy.setMode('pass');
        return wait < 23;
      },
      ['--endpoint', endpoint],
    );
    assert.equal(end.error, null, end.log.slice(-20).join(''));
    assert.equal(await list.missing(), 0);
    assert.deepEqual(waitsTold(list, end), WAITED);
    assert.ok(
      pauses.slice(1, 20).every((pauseMs) => pauseMs >= MINUTE_MS),
      String(pauses),
    );
  });
}

void test('a start waits for a database that is away', async (t) => {
  const cluster = await testCluster(t);
  const list = await GrowingList.open(t, {}, cluster);
  list.grow(300);
  await cluster.stop();
  const end = await list.follow(async (wait) => {
    if (wait === 2) await cluster.start();
    return wait < 5;
  });
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  assert.equal(await list.missing(), 0);
  assert.deepEqual(waitsTold(list, end), WAITED);
});

void test('a start ends with 3 where the key is refused, and with 2 where no pages are served at the address', async (t) => {
  const list = await GrowingList.open(t, { hasStream: false });
  list.hook = () => ({ status: 401, body: { code: 'KEY_REVOKED' } });
  assert.equal((await list.follow(() => true)).exitCode, 3);
  list.hook = () => undefined;
  list.baseUrl = `${list.api.baseUrl}/elsewhere`;
  assert.equal((await list.follow(() => true)).exitCode, 2);
});

/** What somebody does while it follows, and the code that it ends with. */
const BY_A_PERSON = {
  'the table is renamed': [2, 'ALTER TABLE ingested_events RENAME TO moved'],
  'a column is dropped': [2, 'ALTER TABLE ingested_events DROP COLUMN browser'],
  'a column gets another type': [2, 'ALTER TABLE ingested_events ALTER COLUMN name TYPE int USING 1'],
  'a column is added that nothing fills': [
    2,
    'ALTER TABLE ingested_events ADD COLUMN ours int DEFAULT 0 NOT NULL; ALTER TABLE ingested_events ALTER ours DROP DEFAULT',
  ],
  'the table of states is dropped': [2, 'DROP TABLE ingestion.state'],
  'another start takes the source': [6, 'UPDATE ingestion.owner SET generation = generation + 1'],
} as const;

for (const [what, [code, sql]] of Object.entries(BY_A_PERSON)) {
  void test(`it ends with ${code} when ${what}`, async (t) => {
    const list = await GrowingList.open(t);
    list.grow(300);
    const end = await list.follow(async (wait) => {
      if (wait === 3) await list.database.query(sql);
      if (wait === 3) list.grow(10);
      return wait < 10;
    });
    assert.equal(end.exitCode, code, end.log.slice(-20).join(''));
    assert.equal(end.snapshot.follow?.away, null);
  });
}

void test('more rejected events than --max-rejected end it with 4', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  const end = await list.follow(
    (wait) => {
      if (wait === 3) list.grow(5);
      if (wait === 3) list.api.options.events = list.events.map((event, at) => (at < 5 ? { ...event, id: {} } : event));
      return wait < 10;
    },
    ['--max-rejected', '3'],
  );
  assert.equal(end.exitCode, 4, end.log.slice(-20).join(''));
  assert.match(end.error?.message ?? '', /--max-rejected allows 3/);
});

void test('a session that is killed while it reads what is known of the source is no end', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  const other = await openClient(t, list.database.url);
  let killing: Promise<void> = Promise.resolve();
  const killReader = async (): Promise<void> => {
    const reader = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%ordered_by_time AS%'`;
    while ((await list.database.query(reader)).rowCount === 0);
    await other.query('COMMIT');
  };
  const end = await list.follow(async (wait) => {
    if (wait === 3) {
      list.grow(10);
      await other.query('BEGIN; LOCK TABLE ingestion.source IN ACCESS EXCLUSIVE MODE');
      killing = killReader();
    }
    return wait < 6;
  });
  await killing;
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  assert.equal(await list.missing(), 0);
});
