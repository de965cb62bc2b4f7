import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import type { Database } from '../../../src/load/postgres/database.ts';
import { testDatabase } from '../../support/database.ts';
import { ScriptedScene, tailOf } from '../../support/scripted-scene.ts';
import { eventNumber, eventsUpTo } from '../../support/scripted-events.ts';
import { openDatabase } from './setup.ts';

/** Work that is canceled at these ages, one try after another, and then comes through. @returns the number of tries */
async function canceledAt(db: Database, agesMs: readonly number[]): Promise<number> {
  let tries = 0;
  await db.persistently('a test', () =>
    db.transaction('test', async (client) => {
      const ageMs = agesMs[tries];
      tries += 1;
      // The statement's age counts, not that of what it belongs to.
      if (ageMs !== undefined && tries % 2 === 0) await client.query('SELECT pg_sleep(0.3)');
      if (ageMs !== undefined) await client.query(`SET LOCAL statement_timeout = ${ageMs}`);
      await client.query(`SELECT pg_sleep(${ageMs === undefined ? 0 : 60})`);
    }),
  );
  return tries;
}

void test('statements canceled at the same age mean a timeout: the run ends, and says which are set', async (t) => {
  const { url, name, cluster } = await testDatabase(t);
  await cluster.query(`ALTER DATABASE ${name} SET statement_timeout = '90s'`);
  const db = await openDatabase(t, url);
  await assert.rejects(canceledAt(db, Array<number>(20).fill(150)), {
    code: 'CONFIGURATION',
    exitCode: 2,
    message:
      /canceled a statement twice after 0\.\d\d s \(a test, .*have statement_timeout = 90000ms\).*What was merged is safe/,
  });
});

void test('statements canceled at other ages are tried again, and nobody says that the database is away', async (t) => {
  const { url } = await testDatabase(t);
  const log: string[] = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => log.push(line) });
  const db = await openDatabase(t, url, { logger });
  assert.equal(await canceledAt(db, [50, 500, 50]), 4);
  assert.equal(log.length, 3);
  for (const line of log) assert.match(line, /a statement was canceled; it is tried again/);
});

void test('a merge that something cancels whenever it takes long ends the job with code 2, and all is as it was', async (t) => {
  const events = eventsUpTo(400);
  const scene = await ScriptedScene.open(t, { events, hasStream: true });
  await scene.ingestAll();
  await scene.database.query(
    `CREATE FUNCTION cancel_long() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN PERFORM pg_sleep(0.2); PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM pg_sleep(60); RETURN NULL; END $$;
     CREATE TRIGGER cancel_long BEFORE INSERT ON ingested_events EXECUTE FUNCTION cancel_long()`,
  );
  scene.api.options.events = [eventNumber(-1), ...events];
  const ending = await scene.ingest();
  await scene.expect(ending, 2, events);
  assert.match(
    ending.reason,
    /canceled a statement twice after 0\.\d\d s.*the defaults of this role and database have none/,
    tailOf(ending),
  );
  await scene.database.query('DROP TRIGGER cancel_long ON ingested_events');
  await scene.ingestAll();
});
