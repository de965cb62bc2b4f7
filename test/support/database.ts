/**
 * A fresh database for each test, in a PostgreSQL cluster of the test process's own: it starts at the first call and ends
 * with the process.
 */
import { after, type TestContext } from 'node:test';
import pg from 'pg';
import { TestCluster } from './cluster.ts';

export { TestCluster, testCluster, type TestClusterOptions } from './cluster.ts';

export interface TestDatabase {
  /** UTF-8, C locale, empty. */
  readonly url: string;
  readonly name: string;
  /** The cluster of this test process, shared with the process's other tests. */
  readonly cluster: TestCluster;
  /** Uses a small pool of its own, which survives a crash of the server. */
  query<R extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<pg.QueryResult<R>>;
  /** The number that an expression or a query of one value gives; 0 for null. */
  number(sql: string): Promise<number>;
}

let shared: Promise<TestCluster> | null = null;
let databases = 0;
/**
 * Databases of tests that have ended. They are dropped at the next call: the hooks of a test run in the order they were made,
 * so when a test ends its own pools are still open.
 */
const finished: string[] = [];

// Registered at import, for the whole test file: a hook that is made inside a test belongs to that test.
after(async () => {
  await (await shared)?.remove();
});

/** The cluster of this test process. */
export function sharedCluster(): Promise<TestCluster> {
  return (shared ??= TestCluster.create());
}

export async function testDatabase(t: TestContext): Promise<TestDatabase> {
  const cluster = await sharedCluster();
  await dropFinished(cluster);
  const name = nextName();
  const url = await cluster.createDatabase(name);
  return openDatabase(t, { cluster, name, url, dropAfter: true });
}

/** A database in a cluster of the test's own; it goes with the cluster. */
export async function databaseIn(t: TestContext, cluster: TestCluster): Promise<TestDatabase> {
  const name = nextName();
  const url = await cluster.createDatabase(name);
  return openDatabase(t, { cluster, name, url, dropAfter: false });
}

function nextName(): string {
  databases += 1;
  return `test_${databases}`;
}

function openDatabase(
  t: TestContext,
  { cluster, name, url, dropAfter }: { cluster: TestCluster; name: string; url: string; dropAfter: boolean },
): TestDatabase {
  const pool = new pg.Pool({ connectionString: url, max: 4, application_name: 'test', allowExitOnIdle: true });
  pool.on('error', () => undefined);
  t.after(async () => {
    await pool.end();
    if (dropAfter) finished.push(name);
  });
  return {
    url,
    name,
    cluster,
    query: (text, values = []) => pool.query(text, values),
    number: async (sql) => {
      const { rows } = await pool.query<{ n: string | number | null }>(`SELECT (${sql}) AS n`);
      return Number(rows[0]?.n ?? 0);
    },
  };
}

/** A connection of the test's own, closed when it ends; it survives a crash of the server without an error event. */
export async function openClient(t: TestContext, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'test' });
  client.on('error', () => undefined);
  await client.connect();
  t.after(() => client.end().catch(() => undefined));
  return client;
}

async function dropFinished(cluster: TestCluster): Promise<void> {
  for (let name = finished.pop(); name !== undefined; name = finished.pop()) {
    await cluster.query(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
  }
}
