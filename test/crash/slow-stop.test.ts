import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharedCluster } from '../support/database.ts';
import { tcpProxy } from '../support/tcp-proxy.ts';
import { CrashScene, countLogs, hasLog, lastLines } from './crash-scene.ts';
import { HeldMoment } from './held-moment.ts';

/** What the README promises. */
const MOST_MS = 10_000;

void test('a merge that outlasts the ten seconds of a stop is left to the next start', async (t) => {
  const scene = await CrashScene.open(t, { events: 3_000, latency: 100, flags: ['--page-size', '100'] });
  const held = await HeldMoment.arrange(t, scene, 'merging');
  const ingester = scene.start();
  await ingester.waitForLog(hasLog(/^run started/));
  await scene.pagesMore(4, ingester);
  const startedMs = performance.now();
  ingester.kill('SIGTERM');
  await held.reached(ingester);
  await scene.expectExit(ingester, 143);
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs < MOST_MS, `took ${Math.round(tookMs)} ms\n${lastLines(ingester)}`);
  assert.equal(countLogs(ingester, /ended at once \(too slow\)/), 1, lastLines(ingester));
  const next = scene.start();
  await held.release();
  await scene.expectExit(next, 0);
  await scene.assertExact();
});

void test('connections that a firewall has forgotten cost a minute or two, not the job', async (t) => {
  const cluster = await sharedCluster();
  const proxy = await tcpProxy(t, { host: '127.0.0.1', port: cluster.port });
  const scene = await CrashScene.open(t, {
    events: 3_000,
    latency: 150,
    flags: ['--page-size', '100', '--concurrency', '4'],
    through: { database: (url) => proxy.urlFor(url) },
  });
  const ingester = scene.start();
  await scene.until('staged pages', async () => (await scene.stagedPages()) >= 6, ingester);
  proxy.forget();
  // Not told by a reset, a COPY takes the sixty seconds of its watchdog.
  await scene.expectExit(ingester, 0);
  await scene.assertExact();
  assert.ok(countLogs(ingester, /^database is away/) >= 1, lastLines(ingester));
});
