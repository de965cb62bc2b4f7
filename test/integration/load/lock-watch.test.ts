/** Whom the job waits for is told by name, and not longer than `maxWaitMs`: sessions, prepared transactions, a standby, and NOWAIT. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { databaseIn, openClient, testCluster, testDatabase, type TestDatabase } from '../../support/database.ts';
import type { Database, DatabaseOptions } from '../../../src/load/postgres/database.ts';
import { eventsOf, openDatabase, pageOf, startLoading } from './setup.ts';

const MAX_WAIT_MS = 1_500;
/** Longer than it takes to see that there is a lock. */
const WATCHDOG_MS = 2_200;

interface Logged {
  readonly log: string[];
  readonly options: Partial<DatabaseOptions>;
}

function logged(maxWaitMs = MAX_WAIT_MS): Logged {
  const log: string[] = [];
  const logger = pino({ base: null, timestamp: false }, { write: (line: string) => log.push(line) });
  return { log, options: { logger, maxWaitMs } };
}

/** A table that a transaction of the test's has locked. */
async function lockedTable(t: TestContext, database: TestDatabase, end = ''): Promise<void> {
  const person = await openClient(t, database.url);
  await person.query('CREATE TABLE held ()');
  await person.query(`BEGIN; LOCK TABLE held${end}`);
}

test('a page whose COPY waits for somebody is given up in time, and its watchdog stays quiet meanwhile', async (t) => {
  const { log, options } = logged(WATCHDOG_MS + 400);
  const { loader, database } = await startLoading(t, { watchdogMs: WATCHDOG_MS, open: options });
  const person = await openClient(t, database.url);
  await person.query('BEGIN; SELECT FROM ingestion.owner FOR UPDATE');
  const isGivenUp = async (page: number): Promise<void> => {
    await assert.rejects(loader.load(pageOf(eventsOf([`e${page}`]), { page })), {
      exitCode: 4,
      message:
        /^a COPY has waited \d s for a lock: process \d+ \(role postgres, application "test", .*ingestion\.owner FOR UPDATE\) holds it/,
    });
  };
  await Promise.all([1, 2].map(isGivenUp));
  assert.deepEqual(log.filter((line) => line.includes('"level":40')).length, 1, log.join(''));
});

test('a session that waits for another one of the job has waited for nobody', async (t) => {
  const database = await testDatabase(t);
  const { log, options } = logged();
  const db = await openDatabase(t, database.url, options);
  await lockedTable(t, database);
  await db.query('CREATE TABLE ours ()');
  let waiting: Promise<unknown> | undefined;
  await db.transaction('a test', async (client) => {
    await client.query('LOCK TABLE ours');
    waiting = db.query('SELECT FROM ours');
    while ((await database.number(`SELECT count(*) FROM pg_locks WHERE NOT granted`)) === 0);
    // It begins later, so whoever waits as long has been judged by then.
    await assert.rejects(db.query('SELECT FROM held'), { exitCode: 4 });
  });
  await waiting;
  assert.equal(log.length, 1, log.join(''));
});

async function commitSomething(db: Database): Promise<void> {
  await db.transaction('a test', (client) => client.query('CREATE TABLE made ()'));
}

test('a prepared transaction is told by its name, and a standby that is gone by the setting that names it', async (t) => {
  const cluster = await testCluster(t, { settings: { max_prepared_transactions: '2', synchronous_commit: 'on' } });
  const database = await databaseIn(t, cluster);
  const { log, options } = logged();
  const db = await openDatabase(t, database.url, options);
  await lockedTable(t, database, `; PREPARE TRANSACTION 'left behind'`);
  await assert.rejects(db.query('SELECT FROM held'), {
    exitCode: 4,
    message: /the prepared transaction 'left behind' \(role postgres, .*ROLLBACK PREPARED/,
  });
  await cluster.query(`ALTER SYSTEM SET synchronous_standby_names = 'gone'`);
  await cluster.query('SELECT pg_reload_conf()');
  while (
    (await database.number(
      `SELECT count(*) FROM pg_settings WHERE name = 'synchronous_standby_names' AND setting = 'gone'`,
    )) === 0
  );
  await assert.rejects(commitSomething(db), {
    exitCode: 4,
    message:
      /^a test has waited \d s for a synchronous standby to confirm a commit \(synchronous_standby_names = 'gone'\)/,
  });
  assert.match(log.at(-1) ?? '', /waiting for a synchronous standby to confirm a commit/);
});

test('what PostgreSQL refuses again and again, because others are in the way, is no outage', async (t) => {
  const database = await testDatabase(t);
  const { log, options } = logged();
  const db = await openDatabase(t, database.url, options);
  await lockedTable(t, database);
  await assert.rejects(
    db.persistently('a test', () => db.transaction('a test', (client) => client.query('LOCK TABLE held NOWAIT'))),
    { exitCode: 4, message: /^gave up after \d s in which PostgreSQL refused it each time \(a test, .*\(55P03\)\)/ },
  );
  assert.equal(log.length, 1);
  assert.match(log[0] ?? '', /PostgreSQL refuses a statement for now; it is tried again/);
});
