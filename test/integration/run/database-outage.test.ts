import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { CrashScene, countLogs, hasLog, lastLines } from '../../crash/crash-scene.ts';
import { crashDatabase, emptiesStaging, type Crash } from '../../crash/database-crash.ts';
import { HeldMoment, makeTables, type Moment } from '../../crash/held-moment.ts';
import { sharedCluster } from '../../support/database.ts';
import { tcpProxy } from '../../support/tcp-proxy.ts';

const EVENTS = 3_000;
const PAGE_SIZE = 100;
const SOURCE = { events: EVENTS, latency: 60, flags: ['--page-size', String(PAGE_SIZE), '--concurrency', '4'] };

for (const { moment, crash } of [
  { moment: 'copying', crash: 'backend-killed' },
  { moment: 'copied', crash: 'immediate' },
  { moment: 'merging', crash: 'backend-killed' },
  { moment: 'merging', crash: 'terminated' },
] satisfies { moment: Moment; crash: Crash }[]) {
  void test(`the database's side breaks (${crash}) while the job is ${moment}: it goes on by itself, and exactly`, async (t) => {
    const scene = await CrashScene.open(t, SOURCE);
    const held = await HeldMoment.arrange(t, scene, moment);
    const ingester = scene.start();
    await held.reached(ingester);
    await crashDatabase(scene, crash, 300);
    await held.release();
    await scene.expectExit(ingester, 0);
    await scene.assertExact();
    assert.ok(countLogs(ingester, /^database is away/) <= 1, `said so more than once\n${lastLines(ingester)}`);
    const lost = countLogs(ingester, /emptied the staging tables/);
    assert.equal(lost, emptiesStaging(crash) ? 1 : 0, lastLines(ingester));
  });
}

for (const { name, mode } of [
  { name: 'looks at the target', mode: 'ACCESS EXCLUSIVE' },
  { name: 'gives the target its types', mode: 'ACCESS SHARE' },
]) {
  void test(`connections that end while a start ${name} are made again: only work in progress is lost`, async (t) => {
    const scene = await CrashScene.open(t, SOURCE);
    await makeTables(scene);
    const reader = new pg.Client({ connectionString: scene.database.url });
    await reader.connect();
    t.after(() => reader.end());
    await reader.query(`BEGIN; LOCK TABLE ingested_events IN ${mode} MODE`);
    const ingester = scene.start();
    await scene.until(
      'a backend that waits',
      async () => (await scene.number(`SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'relation'`)) > 0,
      ingester,
    );
    await crashDatabase(scene, 'terminated', 0);
    await reader.query('COMMIT');
    await scene.expectExit(ingester, 0);
    await scene.assertExact();
  });
}

void test('a clean restart between COPY and merge costs no request: staging survives, and so does what is known of it', async (t) => {
  const scene = await CrashScene.open(t, { ...SOURCE, latency: 150 });
  const ingester = scene.start();
  await scene.until('staged pages', async () => (await scene.stagedPages()) >= 6, ingester);
  await crashDatabase(scene, 'restart', 300);
  await scene.expectExit(ingester, 0);
  await scene.assertExact();
  assert.equal(countLogs(ingester, /emptied the staging tables/), 0, lastLines(ingester));
  // Requests for one event are looks, not pages.
  const pages = scene.simulator.log().filter(({ limit }) => limit !== 1);
  assert.equal(
    await scene.number('SELECT served FROM ingestion.run'),
    pages.reduce((sum, { events }) => sum + events, 0),
  );
});

void test('a network that swallows everything without a word is noticed, and left behind', async (t) => {
  const cluster = await sharedCluster();
  const proxy = await tcpProxy(t, { host: '127.0.0.1', port: cluster.port });
  const scene = await CrashScene.open(t, {
    ...SOURCE,
    latency: 150,
    through: { database: (url) => proxy.urlFor(url) },
  });
  const ingester = scene.start();
  await scene.until('staged pages', async () => (await scene.stagedPages()) >= 6, ingester);
  proxy.setMode('black-hole');
  await delay(2_000);
  proxy.setMode('pass');
  await scene.expectExit(ingester, 0);
  await scene.assertExact();
});

void test('a database that stays away ends the job with 4 after --max-wait; the next start goes on', async (t) => {
  const scene = await CrashScene.open(t, { ...SOURCE, latency: 150 });
  const { cluster } = scene.database;
  const ingester = scene.start({ flags: ['--max-wait', '2'] });
  await ingester.waitForLog(hasLog(/^run started/));
  await scene.pagesMore(4, ingester);
  await cluster.stop('fast');
  await scene.expectExit(ingester, 4);
  assert.equal(countLogs(ingester, /^database is away/), 1, lastLines(ingester));
  await cluster.start();
  await scene.finish();
  await scene.assertExact();
});
