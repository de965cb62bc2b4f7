import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { StartOptions } from '../../../src/simulator/simulator.ts';
import { testDatabase, type TestDatabase } from '../../support/database.ts';
import { startMain } from '../../support/processes.ts';
import { KEY, simulatorFor } from '../../support/simulator-client.ts';
import { storeAnomaly, storeRun } from '../../support/stored-run.ts';

const SOURCE = 'https://datasync-api.example.com/api/v1';
const REJECTED = {
  kind: 'rejected',
  field: 'id',
  reason: 'missing',
  original: Buffer.from('{"type":"click"}'),
} as const;

async function verify(t: TestContext, database: TestDatabase, options: StartOptions, flags: readonly string[] = []) {
  const simulator = await simulatorFor(t, options);
  const program = startMain(t, ['verify', ...flags], {
    env: { DATABASE_URL: database.url, API_BASE_URL: simulator.baseUrl, TARGET_API_KEY: KEY, LOG_FORMAT: 'json' },
  });
  const { code } = await program.waitForExit();
  return { code, stdout: program.stdout, stderr: program.stderr, stats: simulator.stats() };
}

test('verify ends with 0 when every event the API counts is a row or was rejected', async (t) => {
  const database = await testDatabase(t);
  const runId = await storeRun(database, { source: SOURCE, rows: 99, passTotal: 100, complete: true });
  await storeAnomaly(database, runId, REJECTED);
  const { code, stdout, stderr, stats } = await verify(t, database, { events: 100 });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /The API counts 100 events; the target holds 99 rows, 1 events rejected.*nothing is missing/);
  assert.equal(stats.requests.stream + stats.requests.events, 1);
});

test('verify ends with 5 and the figures when events are missing', async (t) => {
  const database = await testDatabase(t);
  await storeRun(database, { source: SOURCE, rows: 90, passTotal: 100, complete: true });
  const { code, stdout, stderr } = await verify(t, database, { events: 100 }, ['--json']);
  assert.equal(code, 5);
  assert.deepEqual(JSON.parse(stdout), {
    runId: 1,
    runStatus: 'complete',
    total: 100,
    rows: 90,
    rejected: 0,
    short: 10,
    otherRows: 0,
    hidden: 0,
  });
  assert.match(stderr, /10 events are missing: the API counts 100, the target has 90 rows/);
});

test('verify reads the count from any envelope, and goes by the counts of the run where there is none', async (t) => {
  const database = await testDatabase(t);
  await storeRun(database, { source: SOURCE, rows: 90, passTotal: null, complete: true });
  const before = await verify(t, database, { events: 100, envelope: 'before', streamAccess: 'absent' });
  assert.equal(before.code, 5, before.stderr);
  const without = await verify(t, database, { events: 100, shape: 'docs' });
  assert.equal(without.code, 0, without.stderr);
  assert.match(without.stdout, /The API does not say how many events it has; the target holds 90 rows/);
});

test('verify does not call complete what rows of another source could hide', async (t) => {
  const database = await testDatabase(t);
  await storeRun(database, { source: 'https://other.example.com/api/v1', rows: 60, passTotal: 60, complete: true });
  await database.query('DELETE FROM ingested_events');
  await storeRun(database, { source: SOURCE, rows: 100, passTotal: 90, complete: true });
  const { code, stdout, stderr } = await verify(t, database, { events: 90 });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /also holds 60 rows of other sources: up to 50 events of this one could be missing/);
  assert.doesNotMatch(stdout, /nothing is missing/);
});

test('verify ends with 3 when the key is refused, and with 2 when there is none', async (t) => {
  const database = await testDatabase(t);
  await storeRun(database, { source: SOURCE, rows: 90, passTotal: 90, complete: true });
  const refused = await verify(t, database, { events: 90, key: 'another' });
  assert.equal(refused.code, 3);
  const program = startMain(t, ['verify'], { env: { DATABASE_URL: database.url } });
  assert.equal((await program.waitForExit()).code, 2);
  assert.match(program.stderr, /TARGET_API_KEY/);
});

test('what a complete run has left is verified, and shown as complete', async (t) => {
  const database = await testDatabase(t);
  const simulator = await simulatorFor(t, { events: 12_345, badIds: 0.001, nasty: 0.01 });
  const env = { DATABASE_URL: database.url, API_BASE_URL: simulator.baseUrl, TARGET_API_KEY: KEY };
  const run = async (args: readonly string[]) => {
    const program = startMain(t, args, { env });
    const { code } = await program.waitForExit();
    assert.equal(code, 0, program.stdout + program.stderr);
    return program.stdout;
  };
  await run([]);
  const checked = JSON.parse(await run(['verify', '--json'])) as Record<string, number>;
  assert.equal(checked['short'], 0);
  assert.equal((checked['rows'] ?? 0) + (checked['rejected'] ?? 0), 12_345);
  const report = JSON.parse(await run(['status', '--json'])) as {
    rows: number;
    run: { status: string; percent: number };
  };
  assert.equal(report.rows, checked['rows']);
  assert.equal(report.run.status, 'complete');
  const counts = JSON.parse(await run(['anomalies', '--json', '--kind', 'rejected'])) as { count: number }[];
  assert.equal(
    counts.reduce((sum, { count }) => sum + count, 0),
    checked['rejected'],
  );
});
