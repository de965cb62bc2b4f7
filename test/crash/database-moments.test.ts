import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { testCluster } from '../support/database.ts';
import type { Program } from '../support/processes.ts';
import { WITHOUT_WAL } from '../support/without-wal.ts';
import { APPLICATION_NAME, CrashScene, countLogs, lastLines } from './crash-scene.ts';
import { CRASHES, crashDatabase, emptiesStaging, type Crash } from './database-crash.ts';
import { HeldMoment, MOMENTS as MOMENTS_OF_JOB, SCENE_OF_MOMENT } from './held-moment.ts';

const SOURCE = { events: 3_000, latency: 60, flags: ['--page-size', '100', '--concurrency', '4'] };
/** As the embedded server is set up, with nothing that makes tests faster at the cost of durability. */
const DURABLE = { ...WITHOUT_WAL, fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on' };
/** Enough for some to be copied while others are not. */
const STAGED_PAGES = 6;

/** Every moment of a page's way at which a crash can happen. Each crashes there, then releases what was held. */
const MOMENTS = {
  'during a COPY': atHeldMoment('copying'),
  'between the rows of a page and its ledger row': atHeldMoment('copied'),
  'between COPY and merge': async (scene, crash) => {
    const ingester = scene.start();
    await scene.pagesStaged(STAGED_PAGES, ingester);
    await crash();
    return ingester;
  },
  'during a merge': atHeldMoment('merging'),
  'at the end of a merge': atHeldMoment('emptying'),
  'in the COMMIT of a merge': async (scene, crash) => {
    scene.simulator.apply({ latency: 750 });
    // A COMMIT now takes this many microseconds between what it writes and what it flushes.
    for (const setting of ['commit_delay = 100000', 'commit_siblings = 0']) {
      await scene.database.query(`ALTER SYSTEM SET ${setting}`);
    }
    await scene.database.query('SELECT pg_reload_conf()');
    const ingester = scene.start();
    const committing = `SELECT count(*) FROM pg_stat_activity
                         WHERE application_name = '${APPLICATION_NAME} merge' AND state = 'active' AND query = 'COMMIT'`;
    await scene.until('a COMMIT', async () => (await scene.database.number(committing)) > 0, ingester);
    scene.simulator.apply({ latency: SOURCE.latency });
    await crash();
    return ingester;
  },
  'after a merge': async (scene, crash) => {
    // With this latency the first merge, which comes after four intervals, is in the middle of the run.
    scene.simulator.apply({ latency: 750 });
    const ingester = scene.start();
    await scene.until('a merge', () => Promise.resolve(countLogs(ingester, /^merged$/) > 0), ingester);
    scene.simulator.apply({ latency: SOURCE.latency });
    await crash();
    return ingester;
  },
} satisfies Record<string, MeetMoment>;

const OTHER_MOMENTS = MOMENTS_OF_JOB.filter((moment) => !['copying', 'copied', 'merging', 'emptying'].includes(moment));

type MeetMoment = (scene: CrashScene, crash: () => Promise<void>, t: TestContext) => Promise<Program>;

function atHeldMoment(moment: Parameters<typeof HeldMoment.arrange>[2]): MeetMoment {
  return async (scene, crash, t) => {
    const { held, ingester } = await HeldMoment.startAndReach(t, scene, moment);
    await crash();
    await held.release();
    return ingester;
  };
}

async function crashAt(t: TestContext, meet: MeetMoment, crash: Crash): Promise<void> {
  const scene = await CrashScene.open(t, { ...SOURCE, cluster: await testCluster(t, { settings: DURABLE }) });
  const ingester = await meet(scene, () => crashDatabase(scene, crash, 300), t);
  await scene.expectComplete(ingester);
  assert.ok(countLogs(ingester, /^database is away/) <= 1, `said so more than once\n${lastLines(ingester)}`);
  const lost = countLogs(ingester, /emptied the staging tables/);
  assert.equal(lost, emptiesStaging(crash) ? 1 : 0, lastLines(ingester));
}

for (const [moment, meet] of Object.entries(MOMENTS)) {
  for (const crash of CRASHES) {
    void test(`PostgreSQL breaks (${crash}) ${moment}: the job goes on by itself, and loses nothing`, async (t) => {
      await crashAt(t, meet, crash);
    });
  }
}

/** Moments outside of a page's way: nothing is staged then, or nothing that is not asked for again. */
for (const moment of OTHER_MOMENTS) {
  void test(`PostgreSQL breaks (immediate) while the job is ${moment}: it goes on by itself, and loses nothing`, async (t) => {
    const scene = await CrashScene.open(t, {
      ...SOURCE,
      cluster: await testCluster(t, { settings: DURABLE }),
      ...SCENE_OF_MOMENT[moment],
    });
    const ingester = await atHeldMoment(moment)(scene, () => crashDatabase(scene, 'immediate', 300), t);
    await scene.expectComplete(ingester);
  });
}
