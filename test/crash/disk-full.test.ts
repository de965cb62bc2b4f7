import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chown, mkdtemp, realpath, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { testCluster, type TestCluster } from '../support/database.ts';
import { CrashScene, countLogs, lastLines } from './crash-scene.ts';

/** A new database takes 8 MB. */
const SMALL_MB = 16;
const LARGE_MB = 400;

/** A file system of its own, or why there is none. Gone with the test, whatever still uses it. */
async function smallDisk(t: TestContext, cluster: TestCluster): Promise<{ folder: string } | { why: string }> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'datasync-disk-')));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const mounted = mount('-t', 'tmpfs', '-o', `size=${SMALL_MB}m`, 'tmpfs', folder);
  if (mounted !== null) return { why: `this machine does not let the test mount a small file system: ${mounted}` };
  t.after(() => spawnSync('umount', ['-l', folder]));
  const { uid, gid } = await stat(cluster.dataDir);
  await chown(folder, uid, gid);
  return { folder };
}

/** `null` when it worked. */
function mount(...args: string[]): string | null {
  const { status, stderr, error } = spawnSync('mount', args, { encoding: 'utf8' });
  return status === 0 ? null : (error?.message ?? stderr.trim());
}

/** Each moment of a job that can be the one to find the disk full: pages that arrive, and the merge that needs room for all. */
for (const { name, events, flags } of [
  { name: 'while pages are copied', events: 60_000, flags: ['--merge-interval', '3600'] },
  { name: 'while they are merged', events: 14_000, flags: [] },
]) {
  void test(`a disk that is full ${name} ends the job with 4 and says so; with more room the next start completes it`, async (t) => {
    const cluster = await testCluster(t);
    const disk = await smallDisk(t, cluster);
    if ('why' in disk) {
      t.skip(disk.why);
      return;
    }
    await cluster.query(`CREATE TABLESPACE small LOCATION '${disk.folder}'`);
    const scene = await CrashScene.open(t, { events, latency: 10, cluster, tablespace: 'small', flags });
    const ingester = scene.start();
    await scene.expectExit(ingester, 4);
    const message = ingester.logs.findLast(({ level }) => level === 'error')?.msg;
    assert.match(String(message), /disk is full.*make room and start again/s, lastLines(ingester));
    assert.equal(countLogs(ingester, /^database is away/), 0, 'a full disk is not waited for');
    t.diagnostic(String(message));

    assert.equal(mount('-o', `remount,size=${LARGE_MB}m`, disk.folder), null);
    await scene.finish();
    await scene.assertExact();
  });
}
