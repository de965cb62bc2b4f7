import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CrashScene, countLogs, hasLog, lastLines } from '../../crash/crash-scene.ts';
import { HeldMoment } from '../../crash/held-moment.ts';
import type { Program } from '../../support/processes.ts';

/** What the README promises, and what a container's stop waits for. */
const MOST_MS = 10_000;
const AT_WORK = /^run started/;

async function exitAfter(scene: CrashScene, ingester: Program, signal: () => void, code: number): Promise<number> {
  const startedMs = performance.now();
  signal();
  await scene.expectExit(ingester, code);
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs < MOST_MS, `took ${Math.round(tookMs)} ms\n${lastLines(ingester)}`);
  return tookMs;
}

void test('SIGTERM with pages in flight merges what has arrived, exits with 143, and the next start goes on from there', async (t) => {
  const scene = await CrashScene.open(t, { events: 4_000, latency: 200, flags: ['--page-size', '100'] });
  const ingester = scene.start();
  await ingester.waitForLog(hasLog(AT_WORK));
  await scene.pagesMore(12, ingester);
  await exitAfter(
    scene,
    ingester,
    () => {
      ingester.kill('SIGTERM');
    },
    143,
  );
  const served = scene.simulator.stats();
  const rows = await scene.number('SELECT count(*) FROM ingested_events');
  // Nothing was asked for in vain: every page that came is in the table, and nothing is left in staging.
  assert.ok(rows >= served.eventsServed - 100, `${rows} rows of ${served.eventsServed} events that were served`);
  assert.ok(rows < 4_000, 'the signal came too late');
  assert.equal(
    await scene.number(
      'SELECT (SELECT count(*) FROM ingestion.staging_a) + (SELECT count(*) FROM ingestion.staging_b)',
    ),
    0,
  );
  const next = await scene.finish();
  assert.equal(countLogs(next, /^going on with the unfinished run/), 1);
  await scene.assertExact();
});

void test('pages in flight that take as long as large ones do are not thrown away by a SIGTERM', async (t) => {
  const scene = await CrashScene.open(t, { events: 4_000, latency: 100, flags: ['--page-size', '100'] });
  const ingester = scene.start();
  await ingester.waitForLog(hasLog(AT_WORK));
  await scene.pagesMore(4, ingester);
  // About what a page of 5,000 events takes on a slow day.
  scene.simulator.apply({ latency: 4_000 });
  const before = scene.simulator.stats().requestsTotal;
  const asked = (): boolean => scene.simulator.stats().requestsTotal >= before + 3;
  await scene.until('requests for slow pages', () => Promise.resolve(asked()), ingester);
  await exitAfter(
    scene,
    ingester,
    () => {
      ingester.kill('SIGTERM');
    },
    143,
  );
  assert.equal(scene.simulator.log().filter(({ status }) => status === 0).length, 0, 'a request was broken off');
  const served = scene.simulator.stats().eventsServed;
  assert.ok((await scene.number('SELECT loaded FROM ingestion.run')) >= served - 1);
});

void test('Ctrl-C under npm start reaches node twice, counts as one signal, and ends with 130', async (t) => {
  const scene = await CrashScene.open(t, { events: 4_000, latency: 200, flags: ['--page-size', '100'] });
  const ingester = scene.start({ npm: true });
  await ingester.waitForLog(hasLog(AT_WORK));
  await scene.pagesMore(12, ingester);
  await exitAfter(
    scene,
    ingester,
    () => {
      ingester.killGroup('SIGINT');
    },
    130,
  );
  assert.equal(countLogs(ingester, /^ingestion stopped/), 1, lastLines(ingester));
  assert.equal(countLogs(ingester, /ended at once/), 0);
});

void test('SIGINT in a rate-limit wait of a minute does not wait for its end', async (t) => {
  const scene = await CrashScene.open(t, {
    events: 2_000,
    eventsLimit: 1,
    eventsWindow: 60,
    flags: ['--endpoint', 'events', '--page-size', '100', '--concurrency', '2'],
  });
  const ingester = scene.start();
  await scene.until('the only page', async () => (await scene.stagedPages()) === 1, ingester);
  await exitAfter(
    scene,
    ingester,
    () => {
      ingester.kill('SIGINT');
    },
    130,
  );
  assert.equal(await scene.number('SELECT pages FROM ingestion.run'), 1);
  assert.equal(await scene.number('SELECT count(*) FROM ingested_events'), 100);
  assert.equal(scene.pagesServed, 1);
});

void test('SIGTERM during a merge lets it end; the same signal a moment later is the same signal', async (t) => {
  // The first merge is due after four intervals: in the middle of ten rounds of pages.
  const flags = ['--page-size', '100', '--concurrency', '4', '--merge-interval', '1'];
  const scene = await CrashScene.open(t, { events: 4_000, latency: 750, flags });
  const held = await HeldMoment.arrange(t, scene, 'merging');
  const ingester = scene.start();
  await held.reached(ingester);
  await exitAfter(
    scene,
    ingester,
    () => {
      ingester.kill('SIGTERM');
      void delay(400)
        .then(() => {
          ingester.kill('SIGTERM');
        })
        .then(() => delay(1_000))
        .then(() => held.release());
    },
    143,
  );
  assert.equal(countLogs(ingester, /^ingestion stopped/), 1, lastLines(ingester));
  assert.equal(await scene.number('SELECT count(*) FROM ingestion.staging_a'), 0);
  await scene.finish();
  await scene.assertExact();
});

void test('a second signal ends a stopping ingester at once, and the merge it left behind is no harm', async (t) => {
  const scene = await CrashScene.open(t, { events: 2_000, latency: 150, flags: ['--page-size', '100'] });
  const held = await HeldMoment.arrange(t, scene, 'merging');
  const ingester = scene.start();
  await ingester.waitForLog(hasLog(AT_WORK));
  await scene.pagesMore(4, ingester);
  ingester.kill('SIGTERM');
  await held.reached(ingester);
  // Within a second it would be the same signal.
  await delay(1_100);
  const startedMs = performance.now();
  ingester.kill('SIGTERM');
  await scene.expectExit(ingester, 143);
  assert.ok(performance.now() - startedMs < 1_000, 'not at once');
  assert.equal(countLogs(ingester, /ended at once \(second signal\)/), 1);
  const next = scene.start();
  await held.release();
  await scene.expectExit(next, 0);
  await scene.assertExact();
});
