import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CrashScene, countLogs, lastLines } from '../../crash/crash-scene.ts';
import { HeldMoment } from '../../crash/held-moment.ts';
import { assertBalanced } from '../../support/exact-target.ts';
import type { Program } from '../../support/processes.ts';

/** The README promises that a stop takes no longer; a container's stop waits as long. */
const MOST_MS = 10_000;

/** To be called right after the signal. */
async function expectStopped(scene: CrashScene, ingester: Program, code: number): Promise<void> {
  const startedMs = performance.now();
  await scene.expectExit(ingester, code);
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs < MOST_MS, `took ${Math.round(tookMs)} ms\n${lastLines(ingester)}`);
}

void test('SIGTERM with pages in flight merges what has arrived and exits with 143, and the next start goes on from there', async (t) => {
  const scene = await CrashScene.open(t, { events: 4_000, latency: 200, flags: ['--page-size', '100'] });
  const ingester = await scene.startAtWork(12);
  ingester.kill('SIGTERM');
  await expectStopped(scene, ingester, 143);
  const served = scene.simulator.stats();
  const rows = await scene.database.number('SELECT count(*) FROM ingested_events');
  // No request was for nothing: every page that came is in the table, and nothing is left in staging.
  assert.ok(rows >= served.eventsServed - 100, `${rows} rows of ${served.eventsServed} events that were served`);
  assert.ok(rows < 4_000, 'the signal came too late');
  await assertBalanced(scene.database);
  const next = await scene.finish();
  assert.equal(countLogs(next, /^going on with the unfinished run/), 1);
});

void test('SIGTERM waits for pages in flight, even for those that take as long as large pages do', async (t) => {
  const scene = await CrashScene.open(t, { events: 4_000, latency: 100, flags: ['--page-size', '100'] });
  const ingester = await scene.startAtWork(4);
  // About what a page of 5,000 events takes on a slow day.
  scene.simulator.apply({ latency: 4_000 });
  const before = scene.simulator.stats().requestsTotal;
  const asked = (): boolean => scene.simulator.stats().requestsTotal >= before + 3;
  await scene.until('requests for slow pages', () => Promise.resolve(asked()), ingester);
  ingester.kill('SIGTERM');
  await expectStopped(scene, ingester, 143);
  assert.equal(scene.simulator.log().filter(({ status }) => status === 0).length, 0, 'a request was broken off');
  const served = scene.simulator.stats().eventsServed;
  assert.ok((await scene.database.number('SELECT loaded FROM ingestion.run')) >= served - 1);
});

void test('Ctrl-C under npm start, which reaches node twice, counts as one signal and ends with 130', async (t) => {
  const scene = await CrashScene.open(t, { events: 4_000, latency: 200, flags: ['--page-size', '100'] });
  const ingester = await scene.startAtWork(12, { npm: true });
  ingester.killGroup('SIGINT');
  await expectStopped(scene, ingester, 130);
  assert.equal(countLogs(ingester, /^ingestion stopped/), 1, lastLines(ingester));
  assert.equal(countLogs(ingester, /ended at once/), 0);
});

void test('SIGINT ends a job that is waiting a minute for a rate limit', async (t) => {
  const scene = await CrashScene.open(t, {
    events: 2_000,
    eventsLimit: 1,
    eventsWindow: 60,
    flags: ['--endpoint', 'events', '--page-size', '100', '--concurrency', '2'],
  });
  const ingester = scene.start();
  await scene.pagesStaged(1, ingester);
  ingester.kill('SIGINT');
  await expectStopped(scene, ingester, 130);
  assert.equal(await scene.database.number('SELECT pages FROM ingestion.run'), 1);
  assert.equal(await scene.database.number('SELECT count(*) FROM ingested_events'), 100);
  assert.equal(scene.pagesServed, 1);
});

void test('SIGTERM during a merge lets the merge end, and the same signal within a second counts as the same one', async (t) => {
  // The first merge is due after four intervals, which is in the middle of ten rounds of pages.
  const flags = ['--page-size', '100', '--concurrency', '4', '--merge-interval', '1'];
  const scene = await CrashScene.open(t, { events: 4_000, latency: 750, flags });
  const { held, ingester } = await HeldMoment.startAndReach(t, scene, 'merging');
  ingester.kill('SIGTERM');
  const stopped = expectStopped(scene, ingester, 143);
  await scene.untilLog(/^stopping/, ingester);
  ingester.kill('SIGTERM');
  await held.release();
  await stopped;
  assert.equal(countLogs(ingester, /^ingestion stopped/), 1, lastLines(ingester));
  assert.equal(await scene.database.number('SELECT count(*) FROM ingestion.staging_a_1'), 0);
  await scene.finish();
});

void test('a second signal ends a stopping ingester at once, and the merge that it leaves behind does no harm', async (t) => {
  const scene = await CrashScene.open(t, { events: 2_000, latency: 150, flags: ['--page-size', '100'] });
  const held = await HeldMoment.arrange(t, scene, 'merging');
  const ingester = await scene.startAtWork(4);
  ingester.kill('SIGTERM');
  await held.reached(ingester);
  const startedMs = performance.now();
  // Within a second it is the same signal: the first that comes later ends it.
  const again = (): Promise<boolean> => {
    ingester.kill('SIGTERM');
    return Promise.resolve(ingester.ended !== null);
  };
  await scene.until('the end', again, null);
  await scene.expectExit(ingester, 143);
  assert.ok(performance.now() - startedMs < 2_000, 'not at once');
  assert.equal(countLogs(ingester, /ended at once \(second signal\)/), 1);
  const next = scene.startJob();
  await held.release();
  await scene.expectComplete(next);
});

void test('a job that was stopped for longer than --max-wait and --page-timeout goes on, and blames nobody for its absence', async (t) => {
  const flags = ['--page-size', '100', '--concurrency', '2', '--max-wait', '3', '--page-timeout', '3'];
  const scene = await CrashScene.open(t, { events: 2_000, latency: 300, flags });
  const ingester = await scene.startAtWork(2);
  ingester.kill('SIGSTOP');
  const stoppedMs = performance.now();
  await scene.until('a long stop', () => Promise.resolve(performance.now() - stoppedMs > 5_000), null);
  ingester.kill('SIGCONT');
  await scene.expectComplete(ingester);
  assert.equal(countLogs(ingester, /no answer|is away|page failed/), 0, lastLines(ingester));
});
