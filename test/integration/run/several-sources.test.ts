/** Several sources in one database: each has a table, a state and a job of its own, and none is harmed by what becomes of another. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type pg from 'pg';
import { openClient } from '../../support/database.ts';
import { eventsUpTo, type ScriptedEvent } from '../../support/scripted-events.ts';
import { assertProof, ScriptedScene, tailOf, type Ending } from '../../support/scripted-scene.ts';
import { ensureTarget } from '../../../src/load/schema/ingested-events.ts';
import { registerSource } from '../../../src/load/schema/source.ts';
import { TEXT_IDS, claim, startLoading } from '../load/setup.ts';

const EVENTS = eventsUpTo(1_000);
/** The ids are those of the others: only the names tell them apart. */
const OTHERS: readonly ScriptedEvent[] = EVENTS.map((event) => ({ ...event, name: `other ${event.name}` }));

async function twoSources(t: TestContext): Promise<{ first: ScriptedScene; other: ScriptedScene }> {
  const first = await ScriptedScene.open(t, { events: EVENTS, maxPage: 100 });
  return { first, other: await first.beside(t, 'other', { events: OTHERS, maxPage: 100 }) };
}

/** Starts a job of the scene, and holds its API at a page until `meanwhile` is over. */
async function during(scene: ScriptedScene, meanwhile: () => Promise<void>): Promise<Ending> {
  const asked: Promise<void>[] = [];
  scene.api.options.hook = async ({ usual }) => {
    if (usual.first !== 500) return undefined;
    if (asked.length === 0) asked.push(meanwhile());
    await Promise.all(asked);
    return undefined;
  };
  const ending = await scene.ingest();
  await Promise.all(asked);
  assert.equal(asked.length, 1);
  delete scene.api.options.hook;
  return ending;
}

void test('a source is loaded from its beginning to its end while another one is at work; a second job of either is refused with 6', async (t) => {
  const { first, other } = await twoSources(t);
  const ending = await during(first, async () => {
    const busy = await first.ingest();
    assert.equal(busy.code, 6, tailOf(busy));
    assert.match(busy.reason, /another run is working on the source datasync/);
    const report = JSON.parse((await first.command('status', ['--json'])).stdout) as { workedOnBy: unknown };
    assert.notEqual(report.workedOnBy, null);
    assertProof(await other.ingestAll(), 'count');
    assert.equal((await other.runStatus())['status'], 'complete');
  });
  assertProof(ending, 'count');
  await first.expect(ending, 0, EVENTS);
  await other.expect(ending, 0, OTHERS);
  for (const scene of [first, other]) assert.equal((await scene.command('verify')).code, 0);
  assert.equal(await first.count('SELECT count(DISTINCT source_id) FROM ingestion.run'), 2);
});

void test('a source whose merge somebody keeps waiting keeps no other one waiting', async (t) => {
  const { first, other } = await twoSources(t);
  await first.ingestAll();
  await other.ingestAll();
  const person = await openClient(t, first.database.url);
  await person.query('BEGIN; LOCK TABLE ingested_events IN ACCESS SHARE MODE');
  await person.query('LOCK TABLE ingested_events IN ROW EXCLUSIVE MODE; LOCK TABLE ingested_events IN SHARE MODE');
  const waiting = first.ingest(['--full', '--on-conflict', 'update']);
  const isWaiting = `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'ingested_events'::regclass`;
  while ((await first.count(isWaiting)) === 0);
  await other.ingestAll(['--full', '--on-conflict', 'update']);
  await person.query('ROLLBACK');
  await first.expect(await waiting, 0, EVENTS);
});

void test('an orphan of one source is ended by its next start; a session of another source beside it lives on', async (t) => {
  const first = await startLoading(t, { open: { applicationName: 'datasync-ingestion datasync' } });
  await ensureTarget(first.db, await registerSource(first.db, 'other'), TEXT_IDS);
  const sessionOf = async (name: string, sourceId: number): Promise<pg.Client> => {
    const client = await openClient(t, first.database.url);
    await client.query(`SET application_name = 'datasync-ingestion ${name} copy'`);
    await client.query(`BEGIN; SELECT FROM ingestion.owner WHERE source_id = ${sourceId} FOR SHARE`);
    await client.query(`INSERT INTO ingestion.staging_a_${sourceId} (id, source_order) VALUES ('late', 1)`);
    return client;
  };
  const orphan = await sessionOf('datasync', 1);
  const living = await sessionOf('other', 2);
  await first.ownership.release();
  await claim(t, first.db);
  await assert.rejects(orphan.query('COMMIT'));
  await living.query('COMMIT');
  assert.equal(await first.database.number('SELECT count(*) FROM ingestion.staging_a_2'), 1);
});

void test('a table belongs to one source: a second one is refused with 2, and nothing is changed', async (t) => {
  const { first } = await twoSources(t);
  await first.ingestAll();
  const second = await first.beside(t, 'ingested-events', { events: OTHERS });
  // Its own name is another, but its table would be the same.
  const refused = await second.ingest();
  assert.equal(refused.code, 2, tailOf(refused));
  assert.match(refused.reason, /public\.ingested_events.*is the table of the source datasync/);
  assert.equal(await first.count('SELECT count(*) FROM ingestion.source'), 1);
  await first.expect(refused, 2, EVENTS);
});

void test('--reset empties the source that it names, and nothing of another', async (t) => {
  const { first, other } = await twoSources(t);
  first.api.options.events = [...EVENTS, { name: 'no id', timestamp: 0, id: null }];
  await first.ingest(['--max-rejected', '100%']);
  await other.ingestAll();
  other.api.options.events = OTHERS.slice(0, 10);
  await other.ingestAll(['--reset', '--yes']);
  assert.equal(await first.count('SELECT count(*) FROM ingested_events'), EVENTS.length);
  assert.equal(await first.count(`SELECT count(*) FROM ingestion.run WHERE source_id = 1 AND status = 'complete'`), 1);
  assert.deepEqual(await first.rejected(), { 'id-null': 1 });
  assert.equal((await first.command('verify')).code, 0);
});

void test('a source of which nobody has loaded anything is told so, whatever others have loaded', async (t) => {
  const { first, other } = await twoSources(t);
  await first.ingestAll();
  const { code, stderr } = await other.command('status');
  assert.deepEqual([code, /from the source other yet/.test(stderr)], [2, true], stderr);
  await assert.rejects(
    first.ingest(['--source', 'No Name']),
    /--source \(SOURCE_NAME\): expected a name of at most 40 small letters/,
  );
});
