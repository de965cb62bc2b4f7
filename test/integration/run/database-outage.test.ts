import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CrashScene, countLogs, lastLines } from '../../crash/crash-scene.ts';
import { crashDatabase, emptiesStaging, type Crash } from '../../crash/database-crash.ts';
import { HeldMoment, makeTables, type Moment } from '../../crash/held-moment.ts';
import { openClient, sharedCluster } from '../../support/database.ts';
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
  void test(`PostgreSQL breaks (${crash}) while the job is ${moment}: the job goes on by itself, and loses nothing`, async (t) => {
    const scene = await CrashScene.open(t, SOURCE);
    const held = await HeldMoment.arrange(t, scene, moment);
    const job = scene.startJob();
    await held.reached(job);
    await crashDatabase(scene, crash, 300);
    await held.release();
    await scene.expectComplete(job);
    const outages = countLogs(job, /^database is away/);
    assert.ok(outages <= 1, `said so more than once\n${lastLines(job)}`);
    assert.equal(countLogs(job, /^database is back/), outages, lastLines(job));
    const lost = countLogs(job, /emptied the staging tables/);
    assert.equal(lost, emptiesStaging(crash) ? 1 : 0, lastLines(job));
  });
}

for (const { name, mode } of [
  { name: 'looks at the target', mode: 'ACCESS EXCLUSIVE' },
  { name: 'gives the target its types', mode: 'ACCESS SHARE' },
]) {
  void test(`a start reconnects when its connections end while it ${name}`, async (t) => {
    const scene = await CrashScene.open(t, SOURCE);
    await makeTables(scene);
    const reader = await openClient(t, scene.database.url);
    await reader.query(`BEGIN; LOCK TABLE ingested_events IN ${mode} MODE`);
    const job = scene.startJob();
    const waiting = `SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'relation'`;
    await scene.until('a backend that waits', async () => (await scene.database.number(waiting)) > 0, job);
    await crashDatabase(scene, 'terminated', 0);
    await reader.query('COMMIT');
    await scene.expectComplete(job);
  });
}

void test('a clean restart of PostgreSQL between COPY and merge costs no request: staging survives, with its ledger', async (t) => {
  const scene = await CrashScene.open(t, { ...SOURCE, latency: 150 });
  const job = scene.startJob();
  await scene.pagesStaged(6, job);
  await crashDatabase(scene, 'restart', 300);
  await scene.expectComplete(job);
  assert.equal(countLogs(job, /emptied the staging tables/), 0, lastLines(job));
  // A request for one event is a probe, not a page.
  const pages = scene.simulator.log().filter(({ limit }) => limit !== 1);
  assert.equal(
    await scene.database.number('SELECT served FROM ingestion.run'),
    pages.reduce((sum, { events }) => sum + events, 0),
  );
});

void test('a job notices connections that carry nothing any more, and replaces them', async (t) => {
  const cluster = await sharedCluster();
  const proxy = await tcpProxy(t, { host: '127.0.0.1', port: cluster.port });
  const scene = await CrashScene.open(t, { ...SOURCE, latency: 150, proxy });
  const job = scene.startJob();
  await scene.pagesStaged(6, job);
  proxy.setMode('black-hole');
  await scene.until('bytes that are lost', () => Promise.resolve(proxy.bytesSwallowed > 0), job);
  proxy.setMode('pass');
  await scene.expectComplete(job);
});

void test('a database that stays away ends the job with 4 after --max-wait; the next start goes on', async (t) => {
  const scene = await CrashScene.open(t, { ...SOURCE, latency: 150 });
  const { cluster } = scene.database;
  const job = scene.startJob(['--max-wait', '2']);
  await scene.atWork(4, job);
  await cluster.stop('fast');
  await scene.expectExit(job, 4);
  assert.equal(countLogs(job, /^database is away/), 1, lastLines(job));
  await cluster.start();
  await scene.finish();
});
