import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { testCluster } from '../support/database.ts';
import type { Program } from '../support/processes.ts';
import { CrashScene, countLogs, hasLog, lastLines, type SceneOptions } from './crash-scene.ts';
import { holdMerges } from './held-moment.ts';
import { SmallDisk } from './small-disk.ts';

/** There is one merge, at the end. */
const ONE_MERGE = ['--page-size', '100', '--merge-interval', '3600'];

/** Puts the job's tables on a small disk of their own. `null`, and the test is skipped, where this machine cannot mount one. */
async function openOnSmallDisk(
  t: TestContext,
  options: SceneOptions,
): Promise<{ scene: CrashScene; disk: SmallDisk } | null> {
  const cluster = await testCluster(t);
  const disk = await SmallDisk.mount(t, cluster);
  if ('why' in disk) {
    t.skip(disk.why);
    return null;
  }
  await cluster.query(`CREATE TABLESPACE small LOCATION '${disk.folder}'`);
  return { scene: await CrashScene.open(t, { ...options, cluster, tablespace: 'small' }), disk };
}

async function assertReportedAndCompleted(
  scene: CrashScene,
  disk: SmallDisk,
  ingester: Program,
  during: string,
): Promise<void> {
  await scene.expectExit(ingester, 4);
  const message = String(ingester.logs.findLast(({ level }) => level === 'error')?.msg);
  assert.match(message, /disk is full.*make room and start again/s, lastLines(ingester));
  assert.ok(message.includes(`(${during}, `), message);
  assert.equal(countLogs(ingester, /^database is away/), 0, 'the job does not wait for a full disk');
  await disk.makeRoom();
  await scene.finish();
}

void test('a disk that fills up while pages are copied ends the job with 4; with more room the next start completes it', async (t) => {
  // With one window, nothing but pages is written meanwhile.
  const flags = [...ONE_MERGE, '--concurrency', '1'];
  const opened = await openOnSmallDisk(t, { events: 6_000, latency: 30, flags });
  if (opened === null) return;
  const { scene, disk } = opened;
  const ingester = scene.start();
  await scene.pagesStaged(6, ingester);
  disk.fill();
  await assertReportedAndCompleted(scene, disk, ingester, 'copying a page');
});

void test('a disk that fills up while pages are merged ends the job with 4; with more room the next start completes it', async (t) => {
  // With --until, the job does not look for newer events: only the merge is left to do.
  const flags = [...ONE_MERGE, '--until', '2099-01-01T00:00:00Z'];
  const opened = await openOnSmallDisk(t, { events: 3_000, latency: 1_000, flags });
  if (opened === null) return;
  const { scene, disk } = opened;
  const ingester = scene.start();
  await ingester.waitForLog(hasLog(/^run started/));
  const release = await holdMerges(t, scene);
  scene.simulator.apply({ latency: 0 });
  await scene.until('a merge that waits', () => scene.isMerging(), ingester);
  disk.fill();
  await release();
  await assertReportedAndCompleted(scene, disk, ingester, 'merge');
});
