/** The whole job against each major version of PostgreSQL that it works with: real servers, each made for this suite. */
import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { CrashScene, countLogs, lastLines } from '../crash/crash-scene.ts';
import { crashDatabase } from '../crash/database-crash.ts';
import { HeldMoment, type Moment } from '../crash/held-moment.ts';
import { makeTableBeside, takePlace } from '../../src/load/merge/table-beside.ts';
import { LOCK_NOT_AVAILABLE, sqlStateOf } from '../../src/load/postgres/database-errors.ts';
import { TEXT_IDS, startLoading } from '../integration/load/setup.ts';
import { databaseIn, openClient, testCluster, type TestCluster } from '../support/database.ts';
import { eventsUpTo, newerEvents, type ScriptedEvent } from '../support/scripted-events.ts';
import { ScriptedScene, tailOf } from '../support/scripted-scene.ts';
import { LOADED_CASES, SET_ASIDE_CASES, type TargetCase } from '../integration/target/cases.ts';
import { playLoaded, playRefused, playSetAside } from '../integration/target/play-case.ts';
import { REFUSED_CASES } from '../integration/target/refused-cases.ts';
import { MAJOR_VERSIONS, serverPrograms, type MajorVersion } from './servers.ts';

const EVENTS = eventsUpTo(600);

function open(t: TestContext, cluster: TestCluster, events: readonly ScriptedEvent[] = EVENTS): Promise<ScriptedScene> {
  return ScriptedScene.open(t, { events, maxPage: 200 }, cluster);
}

/** Events that are there and newer ones, all under other names. */
function changedEvents(): ScriptedEvent[] {
  return [...newerEvents(100), ...EVENTS].map((event) => ({ ...event, name: `${event.name} again` }));
}

async function loadsAndMerges(t: TestContext, cluster: TestCluster): Promise<void> {
  const scene = await open(t, cluster);
  await scene.ingestAll();
  // Younger than the staging tables, which are made after the empty target: the filled table has taken its place.
  assert.equal(
    await scene.count(
      `SELECT count(*) WHERE 'ingested_events'::regclass::oid > 'ingestion.staging_b_1'::regclass::oid`,
    ),
    1,
  );
  const newer = newerEvents(100);
  scene.api.options.events = changedEvents();
  await scene.expect(await scene.ingest(['--full', '--on-conflict', 'ignore']), 0, [
    ...newer.map((event) => ({ ...event, name: `${event.name} again` })),
    ...EVENTS,
  ]);
  await scene.ingestAll(['--full', '--on-conflict', 'update']);
  assert.equal(await scene.count('SELECT updated FROM ingestion.run ORDER BY run_id DESC LIMIT 1'), 600);
}

async function answersCommands(t: TestContext, cluster: TestCluster): Promise<void> {
  const scene = await open(t, cluster);
  const output = join(tmpdir(), `datasync-ids-${process.pid}-${cluster.port}.txt`);
  t.after(() => rm(output, { force: true }));
  const stopped = await scene.stopAt(({ number }) => number === 2);
  assert.equal(stopped.code, 143, tailOf(stopped));
  assert.equal((await scene.command('verify')).code, 5);
  assert.equal((await scene.command('export-ids', ['--output', output])).code, 7);
  await scene.ingestAll();
  assert.equal((await scene.runStatus())['status'], 'complete');
  const verified = await scene.command('verify');
  assert.equal(verified.code, 0, verified.stderr);
  const exported = await scene.command('export-ids', ['--output', output]);
  assert.equal(exported.code, 0, exported.stderr);
  const ids = (await readFile(output, 'utf8')).trimEnd().split('\n');
  assert.deepEqual(ids.sort(), EVENTS.map(({ id }) => String(id)).sort());
}

/** SIGKILL for the server: it recovers, and what was staged is gone. The job lives on, and the table is exact. */
async function survivesKill(t: TestContext, cluster: TestCluster, moment: Moment): Promise<void> {
  const flags = ['--page-size', '100', '--concurrency', '4'];
  const scene = await CrashScene.open(t, { cluster, events: 3_000, latency: 60, flags });
  const { held, ingester } = await HeldMoment.startAndReach(t, scene, moment);
  await crashDatabase(scene, 'server-killed', 300);
  await held.release();
  await scene.expectComplete(ingester);
  assert.equal(countLogs(ingester, /emptied the staging tables/), 1, lastLines(ingester));
}

/** Before PostgreSQL 18 a GRANT takes no lock of its table. */
async function letsNoGrantComeBetween(t: TestContext, cluster: TestCluster): Promise<void> {
  const { database, db, ownership } = await startLoading(t, { database: await databaseIn(t, cluster) });
  const person = await openClient(t, database.url);
  await person.query('SET lock_timeout = 100');
  let refusal: string | null = null;
  const isTaken = await db.transaction('test', async (client) => {
    const beside = await makeTableBeside(client, ownership.source, TEXT_IDS);
    const query = client.query.bind(client);
    Object.assign(client, {
      query: async (text: string, values?: unknown[]) => {
        const result = await query(text, values);
        // The last look at the table.
        if (text.includes('pg_depend')) {
          refusal = await person.query('GRANT SELECT ON ingested_events TO PUBLIC').then(() => null, sqlStateOf);
        }
        return result;
      },
    });
    return beside !== null && takePlace(client, ownership.source, beside);
  });
  assert.deepEqual([isTaken, refusal], [true, LOCK_NOT_AVAILABLE]);
}

const SCENARIOS: Readonly<Record<string, (t: TestContext, cluster: TestCluster) => Promise<void>>> = {
  'a first load, and later merges that ignore and update': loadsAndMerges,
  'status, verify and export-ids': answersCommands,
  'no grant comes between the last look at the empty table and its end': letsNoGrantComeBetween,
  'the server is killed while a page is staged': (t, cluster) => survivesKill(t, cluster, 'copied'),
  'the server is killed in a merge': (t, cluster) => survivesKill(t, cluster, 'merging'),
};

/** Partitions, constraints, triggers, policies, roles: what the documents say of each holds for every version. */
async function playTargetCases(t: TestContext, cluster: TestCluster, major: MajorVersion): Promise<void> {
  const isKnown = ({ since = major }: TargetCase): boolean => since <= major;
  for (const loaded of LOADED_CASES.filter(isKnown)) {
    await t.test(`${loaded.what}: loaded`, (inner) => playLoaded(inner, loaded, cluster));
  }
  for (const setAside of SET_ASIDE_CASES.filter(isKnown)) {
    await t.test(`${setAside.what}: set aside`, (inner) => playSetAside(inner, setAside, cluster));
  }
  for (const refused of REFUSED_CASES.filter(isKnown)) {
    await t.test(`${refused.what}: refused`, (inner) => playRefused(inner, refused, cluster));
  }
}

for (const major of MAJOR_VERSIONS) {
  void test(`PostgreSQL ${major}`, async (t) => {
    const programs = await serverPrograms(major);
    if ('missing' in programs) {
      t.skip(programs.missing);
      return;
    }
    const cluster = await testCluster(t, { programs: programs.folder });
    const { rows } = await cluster.query<{ server_version: string }>('SHOW server_version');
    const version = rows[0]?.server_version ?? '';
    assert.match(version, new RegExp(`^${major}\\.`));
    t.diagnostic(`PostgreSQL ${version}`);
    for (const [what, play] of Object.entries(SCENARIOS)) await t.test(what, (inner) => play(inner, cluster));
    await t.test('tables of others', (inner) => playTargetCases(inner, cluster, major));
  });
}
