import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { testDatabase, type TestDatabase } from '../../support/database.ts';
import { status as showStatus } from '../../../src/commands/status.ts';
import { runCommand, type CommandEnding } from '../../support/command-output.ts';
import { countProof, storeRun } from '../../support/stored-run.ts';

const SOURCE = 'https://datasync-api.example.com/api/v1';
const RUNNING = { source: SOURCE, rows: 250, passTotal: 1000, complete: false };

async function status(database: TestDatabase, flags: readonly string[] = ['--json']): Promise<CommandEnding> {
  return runCommand(() => showStatus(flags, { DATABASE_URL: database.url }));
}

const parsed = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;

test('status shows an unfinished run, how far it is, and that a start would go on with it', async (t) => {
  const database = await testDatabase(t);
  await storeRun(database, RUNNING);
  const { code, stdout, stderr } = await status(database);
  assert.equal(code, 0, stderr);
  const report = parsed(stdout);
  assert.equal(report['rows'], 250);
  assert.equal(report['workedOnBy'], null);
  assert.match(String(report['nextStart']), /would go on with run 1: 1 of 2 windows are not finished/);
  const run = report['run'] as Record<string, unknown>;
  assert.equal(run['status'], 'running');
  assert.equal(run['source'], SOURCE);
  assert.deepEqual([report['finished'], run['percent'], run['proof']], [false, 25, null]);
  assert.deepEqual(run['windows'], { count: 2, complete: 1, safePages: 6 });
});

test('status for people is a table with the same figures', async (t) => {
  const database = await testDatabase(t);
  await storeRun(database, RUNNING);
  const { code, stdout } = await status(database, []);
  assert.equal(code, 0);
  assert.match(stdout, /progress .* 25 % of 1,000, pass 1/);
  assert.match(stdout, /proof .* not yet: the run is not finished/);
  assert.match(stdout, /windows .* 1 of 2 finished, 6 pages safe/);
  assert.match(stdout, /events .* 250 served, 250 inserted/);
  assert.match(stdout, /at work .* nobody/);
});

test('status says from where the run after a complete one would take what is new', async (t) => {
  const database = await testDatabase(t);
  const watermarkMs = Date.parse('2026-01-27T19:20:12.000Z');
  await storeRun(database, { source: SOURCE, rows: 1000, passTotal: 1000, complete: true, watermarkMs });
  const report = parsed((await status(database)).stdout);
  const run = report['run'] as Record<string, unknown>;
  assert.deepEqual([report['finished'], run['percent'], run['proof']], [true, 100, countProof(1000)]);
  assert.match(String(report['nextStart']), /what is new since 2026-01-27T18:20:12\.000Z/);
  // Nothing begins where a run of a part has ended, or one that is not proven.
  await database.query(
    `INSERT INTO ingestion.run (source_id, source, since_ms, status, watermark_ms, proof)
     SELECT 1, $1, since, 'complete', $2, proof::jsonb FROM (VALUES (5, '{"kind":"count"}'), (NULL, '{"kind":"none"}')) AS later (since, proof)`,
    [SOURCE, watermarkMs + 5 * 3_600_000],
  );
  assert.match(String(parsed((await status(database)).stdout)['nextStart']), /what is new since 2026-01-27T18:20:12/);
});

test('status says by what a complete run is proven, and calls none 100 % without', async (t) => {
  const complete = { source: SOURCE, rows: 1000, passTotal: 1000, complete: true };
  for (const [proof, text, percent] of [
    [countProof(1000), /by the API's count: 1000 places were served, and the API counts 1000/, 100],
    [{ kind: 'api-end', places: 1000, expected: null, sentence: 'it ended' }, /by the API's own end: it ended/, 100],
    [{ kind: 'none', places: 1000, expected: null, sentence: 'too large' }, /not proven: too large/, 99.9],
    [null, /proof .* not proven/, 99.9],
  ] as const) {
    const database = await testDatabase(t);
    await storeRun(database, { ...complete, proof });
    assert.match((await status(database, [])).stdout, text);
    const report = parsed((await status(database)).stdout);
    assert.equal((report['run'] as Record<string, unknown>)['percent'], percent);
    assert.equal(report['finished'], percent === 100);
  }
});

test('rows and rejected events that runs of another data set left do not look like progress', async (t) => {
  const database = await testDatabase(t);
  await storeRun(database, { ...RUNNING, rows: 0 });
  await database.query("INSERT INTO ingested_events (id) SELECT 'other-' || n FROM generate_series(1, 1000) n");
  const report = parsed((await status(database)).stdout);
  assert.equal((report['run'] as Record<string, unknown>)['percent'], 0);
});

test('status names the job that is at work', async (t) => {
  const database = await testDatabase(t);
  await storeRun(database, {
    ...RUNNING,
    while: async () => {
      const report = parsed((await status(database)).stdout);
      assert.deepEqual(
        { ...(report['workedOnBy'] as object), since: '' },
        { host: 'here', pid: process.pid, since: '' },
      );
      assert.match(String(report['nextStart']), /would end at once with code 6: process \d+ on here is at work/);
    },
  });
  assert.equal(parsed((await status(database)).stdout)['workedOnBy'], null);
});

test('status does not wait for a merge that holds the table alone', async (t) => {
  const database = await testDatabase(t);
  await storeRun(database, RUNNING);
  const merge = new pg.Client({ connectionString: database.url });
  await merge.connect();
  try {
    await merge.query('BEGIN; LOCK TABLE ingested_events IN ACCESS EXCLUSIVE MODE');
    const { code, stdout } = await status(database);
    assert.equal(code, 0);
    assert.equal(parsed(stdout)['rows'], null);
    assert.match((await status(database, [])).stdout, /rows .* a merge is at work/);
  } finally {
    await merge.end();
  }
});

test('a complete run is not finished where rows are gone that it left, or the whole table', async (t) => {
  const database = await testDatabase(t);
  await storeRun(database, { source: SOURCE, rows: 1000, passTotal: 1000, complete: true });
  for (const [change, finished, rows] of [
    [`INSERT INTO ingested_events (id) VALUES ('by hand')`, true, 1001],
    [`DELETE FROM ingested_events WHERE id IN ('evt-1', 'evt-2')`, false, 999],
    ['DROP TABLE ingested_events', false, null],
  ] as const) {
    await database.query(change);
    const report = parsed((await status(database)).stdout);
    assert.deepEqual([report['finished'], report['rows']], [finished, rows]);
  }
});

test('status counts no rows where the table is gone', async (t) => {
  const database = await testDatabase(t);
  await storeRun(database, RUNNING);
  await database.query('DROP TABLE ingested_events');
  const { code, stdout, stderr } = await status(database);
  assert.equal(code, 0, stderr);
  assert.equal(parsed(stdout)['rows'], null);
});

test('status says that nothing is there yet, and what would change that', async (t) => {
  const database = await testDatabase(t);
  const { code, stdout, stderr } = await status(database);
  assert.equal(code, 2);
  assert.equal(stdout, '');
  assert.match(stderr, /No job has put anything into .* yet: npm start does/);
});
