import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CrashScene } from '../../crash/crash-scene.ts';
import { HeldMoment } from '../../crash/held-moment.ts';

const EVENTS = 2_000;
const SOURCE = { events: EVENTS, latency: 60, flags: ['--page-size', '100', '--concurrency', '2'] };

/** Reads everything that a refused start must not change. */
async function everything(scene: CrashScene): Promise<unknown> {
  const { rows } = await scene.database.query(
    `SELECT (SELECT jsonb_agg(r ORDER BY run_id) FROM ingestion.run r) AS runs,
            (SELECT jsonb_agg(s ORDER BY window_id) FROM ingestion.state s) AS windows,
            (SELECT count(*) FROM ingested_events) AS events,
            (SELECT generation FROM ingestion.owner) AS generation`,
  );
  return rows;
}

async function leaveUnfinished(scene: CrashScene): Promise<void> {
  const job = scene.startJob();
  await scene.atWork(4, job);
  job.stop();
  await scene.expectExit(job, 143);
  assert.equal(await scene.database.number(`SELECT count(*) FROM ingestion.run WHERE status = 'running'`), 1);
}

void test('a start with another source or filter than the unfinished run is refused with the difference, and changes nothing', async (t) => {
  const scene = await CrashScene.open(t, SOURCE);
  await leaveUnfinished(scene);
  const before = await everything(scene);

  const otherFilter = scene.startJob(['--since', '2026-01-20T00:00:00Z']);
  const otherSource = scene.startJob([], { baseUrl: scene.simulator.baseUrl.replace('127.0.0.1', 'localhost') });
  await scene.expectExit(otherFilter, 2);
  await scene.expectExit(otherSource, 2);
  assert.match(otherFilter.stderr, /--since.*not set.*2026-01-20T00:00:00\.000Z.*--new-run/);
  assert.match(otherSource.stderr, /127\.0\.0\.1.*localhost.*--new-run/);
  assert.deepEqual(await everything(scene), before);

  // Settings of speed may change between starts.
  await scene.finish(['--page-size', '250', '--concurrency', '5', '--connections', '1']);
  assert.equal(await scene.database.number('SELECT count(*) FROM ingestion.run'), 1);
});

void test('--new-run begins again and keeps the rows; --reset empties the table only with --yes', async (t) => {
  const scene = await CrashScene.open(t, SOURCE);
  await leaveUnfinished(scene);
  const rows = await scene.database.number('SELECT count(*) FROM ingested_events');
  assert.ok(rows > 0 && rows < EVENTS);

  const unasked = scene.start({ flags: ['--reset'] });
  await scene.expectExit(unasked, 2);
  assert.match(unasked.stdout, /--yes/);
  assert.equal(await scene.database.number('SELECT count(*) FROM ingested_events'), rows);

  await scene.finish(['--new-run']);
  const { rows: runs } = await scene.database.query<{ status: string; inserted: string }>(
    'SELECT status, inserted FROM ingestion.run ORDER BY run_id',
  );
  assert.deepEqual(runs, [
    { status: 'abandoned', inserted: String(rows) },
    { status: 'complete', inserted: String(EVENTS - rows) },
  ]);

  // --reset removes a row that the source does not have, too.
  await scene.database.query('INSERT INTO ingested_events (id) VALUES (gen_random_uuid())');
  await scene.finish(['--reset', '--yes']);
  assert.equal(await scene.database.number('SELECT count(*) FROM ingestion.run'), 1);
});

void test('a second ingester on the same target ends at once with 6 and names the first, even while a merge holds the table', async (t) => {
  const scene = await CrashScene.open(t, SOURCE);
  const held = await HeldMoment.arrange(t, scene, 'merging');
  const first = scene.startJob();
  await held.reached(first);
  const startedMs = performance.now();
  const second = scene.startJob();
  await scene.expectExit(second, 6);
  const tookMs = performance.now() - startedMs;
  assert.match(second.stderr, new RegExp(`process ${process.pid} on `));
  assert.ok(tookMs < 8_000, `took ${Math.round(tookMs)} ms`);
  await held.release();
  await scene.expectComplete(first);
});

void test('an ingester that slept while another one took over is fenced: it ends with 6, and nothing it still had is written', async (t) => {
  const scene = await CrashScene.open(t, { ...SOURCE, latency: 100 });
  const sleeper = await scene.startAtWork(4);
  sleeper.kill('SIGSTOP');
  // As in a failover: its lock is gone, and it has not noticed.
  await scene.database.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE '% owner'`,
    [scene.database.name],
  );
  await scene.finish();
  sleeper.kill('SIGCONT');
  await scene.expectExit(sleeper, 6);
  await scene.assertExact();
});
