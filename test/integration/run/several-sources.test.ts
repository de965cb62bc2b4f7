/** Several sources in one database: each has a table, a state and a job of its own, and none is harmed by what becomes of another. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type pg from 'pg';
import { ConfigurationError } from '../../../src/core/errors.ts';
import { registerSource } from '../../../src/load/schema/source.ts';
import { openClient } from '../../support/database.ts';
import { eventsUpTo, type ScriptedEvent } from '../../support/scripted-events.ts';
import { assertProof, ScriptedScene, tailOf, type Ending } from '../../support/scripted-scene.ts';
import { claim, eventsOf, eventually, ids, pageOf, startLoading } from '../load/setup.ts';

const EVENTS = eventsUpTo(300);
/** The ids are those of the others: only the names tell them apart. */
const OTHERS: readonly ScriptedEvent[] = EVENTS.map((event) => ({ ...event, name: `other ${event.name}` }));

/** Starts a job of the scene, and holds its API in the middle until `meanwhile` is over. */
async function during(scene: ScriptedScene, meanwhile: () => Promise<void>): Promise<Ending> {
  const asked: Promise<void>[] = [];
  scene.api.options.hook = async ({ usual }) => {
    if (usual.first !== 150) return undefined;
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

void test('a source is loaded, and emptied, while another one is at work; a second job of that is refused with 6', async (t) => {
  const rejected = { name: 'no id', timestamp: 0, id: null };
  const first = await ScriptedScene.open(t, { events: [...EVENTS, rejected], maxPage: 30 });
  const other = await first.beside(t, 'other', { events: OTHERS, maxPage: 30 });
  const ending = await during(first, async () => {
    const busy = await first.ingest();
    assert.equal(busy.code, 6, tailOf(busy));
    assert.match(busy.reason, /another run is working on the source datasync/);
    const { code, stderr } = await other.command('status');
    assert.deepEqual(
      [code, /from the source other yet.*there \(--source\): datasync\./.test(stderr)],
      [2, true],
      stderr,
    );
    assertProof(await other.ingestAll(), 'count');
    const status = JSON.parse((await first.command('status', ['--json'])).stdout) as Record<string, unknown>;
    assert.deepEqual([status['name'], status['finished'], status['workedOnBy'] === null], ['datasync', false, false]);
  });
  assertProof(ending, 'count');
  await first.expect(ending, 0, EVENTS);
  assert.equal(await first.count('SELECT count(DISTINCT source_id) FROM ingestion.run'), 2);
  other.api.options.events = OTHERS.slice(0, 10);
  await other.ingestAll(['--reset', '--yes']);
  await first.expect(ending, 0, EVENTS);
  assert.deepEqual(await first.rejected(), { 'id-null': 1 });
  for (const scene of [first, other]) assert.equal((await scene.command('verify')).code, 0);
});

void test('a source whose merge somebody keeps waiting keeps no other one waiting', async (t) => {
  const first = await startLoading(t);
  const other = await startLoading(t, { database: first.database, source: 'other' });
  for (const { loader } of [first, other]) await loader.load(pageOf(eventsOf(ids('e', 10))));
  await first.database.query(
    `INSERT INTO ingestion.outcome VALUES (gen_random_uuid(), now() - interval '2 days', 'null')`,
  );
  const person = await openClient(t, first.database.url);
  // As a job of another source does that is stopped in the middle of it.
  await person.query('BEGIN; DELETE FROM ingestion.outcome');
  await person.query('LOCK TABLE ingested_events IN SHARE MODE');
  const waiting = first.merger('update').merge('a', 1);
  await eventually(first.database, `SELECT FROM pg_locks WHERE NOT granted AND relation = 'ingested_events'::regclass`);
  assert.equal((await other.merger('update').merge('a', 1)).inserted, 10);
  await person.query('ROLLBACK');
  assert.equal((await waiting).inserted, 10);
});

void test('an orphan of one source is ended by its next start; a session of another source beside it lives on', async (t) => {
  const first = await startLoading(t, { open: { applicationName: 'datasync-ingestion datasync' } });
  await startLoading(t, { database: first.database, source: 'other' });
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
  const { db, database } = await startLoading(t);
  // Its own name is another, but its table would be the same.
  await assert.rejects(registerSource(db, { name: 'ingested-events' }), (error) => {
    assert.ok(error instanceof ConfigurationError);
    assert.match(error.message, /public\.ingested_events.*is the table of the source datasync/);
    return true;
  });
  for (const table of ['source', 'owner', 'target_rows']) {
    assert.equal(await database.number(`SELECT count(*) FROM ingestion.${table}`), 1);
  }
});
