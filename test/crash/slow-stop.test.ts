import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharedCluster } from '../support/database.ts';
import { tcpProxy } from '../support/tcp-proxy.ts';
import { CrashScene, countLogs, lastLines } from './crash-scene.ts';
import { HeldMoment } from './held-moment.ts';

/** The README promises that a stop takes no longer. */
const MOST_MS = 10_000;

void test('a merge that takes longer than the ten seconds of a stop is left to the next start', async (t) => {
  const scene = await CrashScene.open(t, { events: 3_000, latency: 100, flags: ['--page-size', '100'] });
  const held = await HeldMoment.arrange(t, scene, 'merging');
  const ingester = await scene.startAtWork(4);
  const startedMs = performance.now();
  ingester.kill('SIGTERM');
  await held.reached(ingester);
  await scene.expectExit(ingester, 143);
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs < MOST_MS, `took ${Math.round(tookMs)} ms\n${lastLines(ingester)}`);
  assert.equal(countLogs(ingester, /ended at once \(too slow\)/), 1, lastLines(ingester));
  const next = scene.start();
  await held.release();
  await scene.expectComplete(next);
});

void test('a job gets over connections that a firewall has forgotten, in a minute or two', async (t) => {
  const cluster = await sharedCluster();
  const proxy = await tcpProxy(t, { host: '127.0.0.1', port: cluster.port });
  const scene = await CrashScene.open(t, {
    events: 3_000,
    latency: 150,
    flags: ['--page-size', '100', '--concurrency', '4'],
    proxy,
  });
  const ingester = scene.start();
  await scene.pagesStaged(6, ingester);
  proxy.forget();
  // Without a reset, a COPY ends only by its watchdog, after sixty seconds.
  await scene.expectComplete(ingester);
  assert.ok(countLogs(ingester, /^database is away/) >= 1, lastLines(ingester));
});
