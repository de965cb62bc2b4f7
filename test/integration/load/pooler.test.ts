import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { ConnectionLostError, sqlStateOf } from '../../../src/load/postgres/database-errors.ts';
import { databaseIn, openClient, testCluster, testDatabase, type TestDatabase } from '../../support/database.ts';
import { ingest, type JobEnd } from '../../support/ingestion.ts';
import { SKIP_WITHOUT_PGBOUNCER, pgbouncer } from '../../support/pgbouncer.ts';
import { startMain } from '../../support/processes.ts';
import { ScriptedApi, type PageHook } from '../../support/scripted-api.ts';
import { eventsUpTo } from '../../support/scripted-events.ts';
import { openDatabase } from './setup.ts';

const EVENTS = 2_000;
const SETTINGS = { BATCH_SIZE: '200' };
/** Two for COPY, and five more. */
const JOB_CONNECTIONS = 7;
const POOLED = { skip: SKIP_WITHOUT_PGBOUNCER };

/** Defaults with which a session of somebody who sets nothing could not work. */
const HOSTILE_DEFAULTS = {
  statement_timeout: '150ms',
  lock_timeout: '50ms',
  idle_in_transaction_session_timeout: '50ms',
  idle_session_timeout: '5s',
  transaction_timeout: '150ms',
  default_transaction_isolation: 'repeatable read',
  default_transaction_read_only: 'on',
  array_nulls: 'off',
  standard_conforming_strings: 'off',
  DateStyle: 'German',
  TimeZone: 'Asia/Kathmandu',
  bytea_output: 'escape',
  extra_float_digits: '-15',
  synchronous_commit: 'off',
  quote_all_identifiers: 'on',
  row_security: 'off',
} as const;

async function setDefaults(database: TestDatabase, defaults: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, value] of Object.entries(defaults)) {
    await database.cluster.query(`ALTER DATABASE ${database.name} SET ${name} = '${value}'`);
  }
}

async function ingestThrough(t: TestContext, databaseUrl: string, hook?: PageHook): Promise<JobEnd> {
  const events = eventsUpTo(EVENTS);
  const api = await ScriptedApi.open(t, { events, hasStream: true, ...(hook === undefined ? {} : { hook }) });
  return ingest({ baseUrl: api.baseUrl, databaseUrl }, SETTINGS);
}

async function assertAllThere(end: JobEnd, database: TestDatabase): Promise<void> {
  assert.equal(end.exitCode, 0, `${String(end.error)}\n${end.log.slice(-20).join('')}`);
  assert.equal(await database.number('SELECT count(*) FROM ingested_events'), EVENTS);
  assert.ok(!end.log.some((line) => line.includes('database is away')), end.log.join(''));
}

/** Answers requests for pages, until this one: it and those after it get none. */
function holdFrom(number: number, reached: () => void): PageHook {
  return (request) => {
    if (request.number < number) return undefined;
    reached();
    return new Promise(() => undefined);
  };
}

/** The ending of a refusal that names this, and the database as it was. */
async function assertRefused(end: JobEnd, database: TestDatabase, names: RegExp): Promise<void> {
  assert.equal(end.exitCode, 2, `${String(end.error)}\n${end.log.slice(-20).join('')}`);
  assert.match(end.error?.message ?? '', names);
  const made = `SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text IN ('public', 'ingestion')`;
  assert.equal(await database.number(made), 0);
}

void test('defaults of the database, however hostile, do not reach the job', async (t) => {
  const database = await testDatabase(t);
  await setDefaults(database, HOSTILE_DEFAULTS);
  await assertAllThere(await ingestThrough(t, database.url), database);
});

void test('a setting that does not stay is refused by its name', async (t) => {
  const database = await testDatabase(t);
  await database.query(
    `CREATE SCHEMA extension;
     CREATE FUNCTION extension.set_config(name text, value text, is_local boolean) RETURNS text LANGUAGE sql AS $$
       SELECT CASE name WHEN 'lock_timeout' THEN value ELSE pg_catalog.set_config(name, value, is_local) END
     $$`,
  );
  await setDefaults(database, { lock_timeout: '9s' });
  await database.cluster.query(`ALTER DATABASE ${database.name} SET search_path = extension, pg_catalog, public`);
  const names = /lock_timeout = '9s' right after it was set to '0'/;
  await assertRefused(await ingestThrough(t, database.url), database, names);
});

void test('PgBouncer in session mode works as it comes, with defaults as hostile', POOLED, async (t) => {
  const database = await testDatabase(t);
  await setDefaults(database, HOSTILE_DEFAULTS);
  const pooler = await pgbouncer(t, database.url);
  await assertAllThere(await ingestThrough(t, pooler.url), database);
});

void test('a job that is killed behind PgBouncer leaves nothing that keeps the next one waiting', POOLED, async (t) => {
  const database = await testDatabase(t);
  const pooler = await pgbouncer(t, database.url);
  const reached = new EventEmitter();
  const hook = holdFrom(6, () => reached.emit('reached'));
  const api = await ScriptedApi.open(t, { events: eventsUpTo(EVENTS), hasStream: true, hook });
  const env = { API_BASE_URL: api.baseUrl, TARGET_API_KEY: 'key', DATABASE_URL: pooler.url, ...SETTINGS };
  const isReached = once(reached, 'reached');
  const killed = startMain(t, ['--concurrency', '1'], { env });
  await Promise.race([isReached, killed.waitForExit()]);
  assert.equal(killed.ended, null, killed.stdout);
  killed.kill('SIGKILL');
  await killed.waitForExit();
  delete api.options.hook;
  await assertAllThere(await ingest({ baseUrl: api.baseUrl, databaseUrl: pooler.url }, SETTINGS), database);
});

void test('the next job behind a PgBouncer that resets nothing finds the lock free', POOLED, async (t) => {
  const database = await testDatabase(t);
  const pooler = await pgbouncer(t, database.url, { server_reset_query: '' });
  await assertAllThere(await ingestThrough(t, pooler.url), database);
  const events = eventsUpTo(EVENTS);
  const api = await ScriptedApi.open(t, { events, hasStream: true });
  const next = await ingest({ baseUrl: api.baseUrl, databaseUrl: database.url }, SETTINGS);
  assert.notEqual(next.exitCode, 6, String(next.error));
});

for (const settings of [
  { pool_mode: 'transaction' },
  { pool_mode: 'transaction', server_round_robin: 1 },
  { pool_mode: 'statement' },
  { pool_mode: 'statement', server_round_robin: 1 },
]) {
  void test(
    `PgBouncer with ${JSON.stringify(settings)} is refused, and its sessions stay as they are`,
    POOLED,
    async (t) => {
      const database = await testDatabase(t);
      await setDefaults(database, { lock_timeout: '9s' });
      const pooler = await pgbouncer(t, database.url, settings);
      const others = await Promise.all(Array.from({ length: JOB_CONNECTIONS }, () => openClient(t, pooler.url)));
      // As many sessions in the pool as the job asks for: by turns, each of its connections would meet the same one again.
      const isHeld = settings.pool_mode === 'transaction';
      for (const other of others) await other.query(isHeld ? 'BEGIN' : 'SELECT 1');
      for (const other of others) await other.query(isHeld ? 'COMMIT' : 'SELECT 1');
      await assertRefused(await ingestThrough(t, pooler.url), database, /pool_mode=transaction or statement/);
      for (const other of others) {
        const { rows } = await other.query<{ lock_timeout: string }>('SHOW lock_timeout');
        assert.deepEqual(rows, [{ lock_timeout: '9s' }]);
      }
    },
  );
}

void test('a pool that is too small for the job is refused, with the number it needs', POOLED, async (t) => {
  const database = await testDatabase(t);
  const pooler = await pgbouncer(t, database.url, { default_pool_size: 3 });
  await assert.rejects(openDatabase(t, pooler.url, { connectTimeoutMs: 500, firstContactMs: 0 }), {
    code: 'CONFIGURATION',
    message: /let 3 of the job's 7 connections through .*default_pool_size/,
  });
});

void test('connections that others use count, also for a role that may not look at their sessions', async (t) => {
  const database = await testDatabase(t);
  const url = new URL(database.url);
  await database.query(`CREATE ROLE plain LOGIN PASSWORD '${url.password}'`);
  url.username = 'plain';
  const free = `current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')`;
  const others = (await database.number(free)) - (JOB_CONNECTIONS - 1);
  await Promise.all(Array.from({ length: others }, () => openClient(t, database.url)));
  await assert.rejects(openDatabase(t, url.href, { firstContactMs: 0 }), {
    code: 'CONFIGURATION',
    message: /it has \d connections left and the job needs 7/,
  });
});

void test('a server that restarts behind PgBouncer is waited for, whatever PgBouncer says of it', POOLED, async (t) => {
  const cluster = await testCluster(t);
  const database = await databaseIn(t, cluster);
  const pooler = await pgbouncer(t, database.url, { server_login_retry: 1 });
  const db = await openDatabase(t, pooler.url);
  const before = await db.query('SELECT 1');
  await cluster.stop('immediate');
  const query = db.persistently('asking', () => db.query('SELECT 1'));
  const copy = db.persistently('copying', () => db.withCopyClient((client) => client.query('SELECT 1')));
  await pooler.program.waitFor(() => /connect failed|Connection refused/.test(pooler.program.stderr), 'its complaint');
  await cluster.start();
  assert.deepEqual([(await query).rowCount, (await copy).rowCount, before.rowCount], [1, 1, 1]);
});

void test('what PgBouncer ends by itself is its own trouble, no fault of the data', POOLED, async (t) => {
  const database = await testDatabase(t);
  const pooler = await pgbouncer(t, database.url, { query_timeout: 0.2 });
  const db = await openDatabase(t, pooler.url);
  for (const pool of ['query', 'copy'] as const) {
    const error: unknown = await db.connections
      .use(pool, 'a test', (client) => client.query('SELECT pg_sleep(60)'))
      .catch((caught: unknown) => caught);
    assert.ok(error instanceof ConnectionLostError, String(error));
    assert.equal(sqlStateOf(error.cause), '08P01');
  }
});
