/** A database that an earlier version has used goes on as it is: its rows, its unfinished run, its staged pages. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test, type TestContext } from 'node:test';
import type pg from 'pg';
import { migrate } from '../../src/load/schema/migrate.ts';
import { registerSource } from '../../src/load/schema/source.ts';
import { readCurrentRun } from '../../src/load/state/run-reader.ts';
import { describeSource, readSourceTraits } from '../../src/load/state/source-traits.ts';
import { openClient, testDatabase } from '../support/database.ts';
import { eventsUpTo } from '../support/scripted-events.ts';
import { assertProof, ScriptedScene, tailOf } from '../support/scripted-scene.ts';
import { storeRun, takeBackVersion4 } from '../support/stored-run.ts';
import { SILENT, openDatabase } from '../integration/load/setup.ts';

const EVENTS = 240;

/** What version 1.0.0 left when it was killed, in a database of the test's own. */
async function sceneOf100(t: TestContext): Promise<ScriptedScene> {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(EVENTS), maxPage: 10 });
  const dump = await readFile(new URL('../golden/made-by-1.0.0.sql', import.meta.url), 'utf8');
  const client = await openClient(t, scene.database.url);
  await client.query(dump.replaceAll('http://{api}', scene.api.baseUrl));
  await client.end();
  return scene;
}

/** A backend that version 1.0.0 has left behind, in the middle of a page. */
async function orphanOf100(t: TestContext, scene: ScriptedScene): Promise<pg.Client> {
  const client = await openClient(t, scene.database.url);
  await client.query(`SET application_name = 'datasync-ingestion copy'; BEGIN`);
  await client.query('INSERT INTO ingestion.staging_a (id, source_order) VALUES (gen_random_uuid(), 0)');
  await client.query('SELECT FROM ingestion.owner FOR SHARE');
  return client;
}

void test('the unfinished run of version 1.0.0 is gone on with: its rows stay, its staged pages are merged, its orphans are ended', async (t) => {
  const scene = await sceneOf100(t);
  const orphan = await orphanOf100(t, scene);
  assert.equal(await scene.count('SELECT count(*) FROM ingested_events'), 90);
  assert.equal((await scene.runStatus())['status'], 'running');
  const ending = await scene.ingest();
  assertProof(ending, 'api-end');
  await assert.rejects(orphan.query('COMMIT'));
  await scene.expect(ending, 0, scene.api.options.events);
  assert.equal(ending.logs.find(({ msg }) => msg.startsWith('pages that an earlier start had'))?.['pages'], 2);
  assert.equal(await scene.count(`SELECT count(*) FROM ingestion.run WHERE status = 'complete' AND inserted = 240`), 1);
  assert.equal(await scene.count('SELECT count(*) FROM ingestion.run'), 1);
  assert.ok(scene.api.pageRequests <= 20, `${scene.api.pageRequests} pages were asked for: 13 were left`);
  const { rows } = await scene.database.query(
    'SELECT source_id, name, description, target FROM ingestion.source WHERE sha256 IS NOT NULL',
  );
  const description = { url: scene.api.baseUrl };
  assert.deepEqual(rows, [{ source_id: 1, name: 'datasync', description, target: 'ingested_events' }]);
  // Version 1.0.0 reads this number before it changes anything, and ends with 2 when it is above 2.
  assert.ok((await scene.count('SELECT max(version) FROM ingestion.schema_version')) > 2);
});

void test('a table in which version 1.0.0 has put two sources goes on, and is proven by the end of the API alone', async (t) => {
  const scene = await sceneOf100(t);
  // The 90 rows are of another address, whose events may have the ids of this one's.
  await scene.database.query(`UPDATE ingestion.run SET status = 'abandoned', source = 'http://other/api/v1'`);
  await scene.database.query('UPDATE ingested_events SET id = gen_random_uuid()');
  await scene.database.query('TRUNCATE ingestion.staging_a, ingestion.staging_b');
  await scene.database.query('TRUNCATE ingestion.staging_ledger_a, ingestion.staging_ledger_b');
  await scene.database.query(`INSERT INTO ingestion.run (source, status) VALUES ('${scene.api.baseUrl}', 'complete')`);
  const ending = await scene.ingest();
  assertProof(ending, 'api-end');
  assert.match(ending.proof?.sentence ?? '', /rows of another address/);
  assert.equal(await scene.count('SELECT count(*) FROM ingested_events'), 90 + EVENTS);
});

void test('what was left before sources had state of their own is kept, with what pages have shown', async (t) => {
  const database = await testDatabase(t);
  const runId = await storeRun(database, { source: 'http://api', rows: 3, passTotal: 3, complete: false });
  await takeBackVersion4(database);
  await database.query('UPDATE ingestion.source SET has_flag = true');
  const db = await openDatabase(t, database.url);
  await migrate(db, SILENT);
  const source = await registerSource(db, { name: 'datasync' });
  assert.equal((await readCurrentRun(db, source))?.runId, runId);
  const traits = { isOrderedByTime: true, hasFlag: true, failureWords: 'unknown' };
  assert.deepEqual(await readSourceTraits(db, source), traits);
  // A run of the same data set goes on from them.
  await db.transaction('a test', (client) => describeSource(client, source, 'http://api'));
  assert.deepEqual(await readSourceTraits(db, source), traits);
  await db.transaction('a test', (client) => describeSource(client, source, 'http://other'));
  assert.deepEqual(await readSourceTraits(db, source), { ...traits, hasFlag: false });
});

void test('while version 1.0.0 is at work, no source is begun: 6, and its schema is as it was', async (t) => {
  const scene = await sceneOf100(t);
  const other = await scene.beside(t, 'other', { events: [] });
  const client = await openClient(t, scene.database.url);
  // Its lock: one for all of the database.
  await client.query('SELECT pg_advisory_lock($1, $2)', [0x0da7_a51c, 0x16e5_7e4]);
  const busy = await other.ingest();
  assert.equal(busy.code, 6, tailOf(busy));
  assert.match(busy.reason, /a job of version 1\.0\.0.* is working on .*: process \d+ on /);
  assert.equal(await scene.count('SELECT max(version) FROM ingestion.schema_version'), 2);
});
