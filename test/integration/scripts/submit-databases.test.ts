/** What submit.sh asks the databases that it can reach, before it sends a list. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { testDatabase } from '../../support/database.ts';
import type { ScriptFolder } from '../../support/shell-scripts.ts';
import { storeRun } from '../../support/stored-run.ts';
import { REPOSITORY, SCRIPT, assertNothingSent, folderWith } from '../../support/submission.ts';

test('submit.sh compares the file with the database it can reach', async (t) => {
  const folder = await folderWith(t);
  await folder.useStandIn('docker');
  await folder.prepare({ rows: '4\n' });
  const differs = await folder.run(SCRIPT, ['--yes', REPOSITORY]);
  assert.equal(differs.code, 5);
  assert.match(differs.stderr, /has 3 ids, the database has 4 events/);
  await assertNothingSent(folder);
  await folder.prepare({ rows: '3\ntrue\n' });
  const agrees = await folder.run(SCRIPT, ['--yes', REPOSITORY]);
  assert.equal(agrees.code, 0);
  assert.match(agrees.stdout, /as many as rows in the database/);
});

test('submit.sh refuses the list of an unfinished run unless it is told that a part is wanted; --yes does not say so', async (t) => {
  const inContainer = async (folder: ScriptFolder, finished: string): Promise<void> => {
    await folder.useStandIn('docker');
    await folder.prepare({ rows: `3\n${finished}` });
  };
  const withoutDocker = async (folder: ScriptFolder, finished: string): Promise<void> => {
    await mkdir(join(folder.path, 'node_modules'));
    await folder.useStandIn('npm');
    const report = finished === '' ? { rows: 3 } : { rows: 3, finished: finished === 'true\n', run: { runId: 1 } };
    await folder.prepare({ status: `${JSON.stringify(report, null, 2)}\n` });
  };
  for (const database of [inContainer, withoutDocker]) {
    // Without an answer no run is recorded: nobody knows whether these are all.
    for (const finished of ['false\n', '']) {
      const folder = await folderWith(t);
      await database(folder, finished);
      const refused = await folder.run(SCRIPT, ['--yes', REPOSITORY]);
      assert.equal(refused.code, 7, refused.stderr);
      assert.match(refused.stderr, /not finished, or not proven complete[^]*npm start goes on with it.*--partial/);
      await assertNothingSent(folder);
      const told = await folder.run(SCRIPT, ['--yes', '--partial', REPOSITORY]);
      assert.equal(told.code, 0, told.stderr);
      assert.match(told.stdout, /not finished, or not proven complete, or rows are gone; sent as --partial/);
    }
    const finished = await folderWith(t);
    await database(finished, 'true\n');
    const { code, stdout } = await finished.run(SCRIPT, ['--yes', REPOSITORY]);
    assert.equal(code, 0);
    assert.doesNotMatch(stdout, /partial/);
  }
});

/** What is asked about a source: how many rows there are, and whether its run is finished. */
async function questionsAbout(t: TestContext, source: string): Promise<{ rows: string; finished: string }> {
  const folder = await folderWith(t);
  await folder.useStandIn('docker');
  await folder.prepare({ rows: '' });
  await folder.run(SCRIPT, ['--yes', REPOSITORY], { SOURCE_NAME: source });
  const [, rows, finished] = /-c (SELECT count.*) -c (SELECT CASE[^]*)/.exec(await folder.kept('calls')) ?? [];
  return { rows: rows ?? assert.fail('nothing was asked'), finished: finished ?? assert.fail() };
}

test('submit.sh asks the database of the container for what this project stores', async (t) => {
  const { finished: question } = await questionsAbout(t, '');
  const run = { source: 'https://api', rows: 3, passTotal: 3 };
  const proof = { kind: 'none', places: 3, expected: null, sentence: 'too large' } as const;
  for (const [options, expected] of [
    [{ complete: true }, 'true'],
    [{ complete: false }, 'false'],
    [{ complete: true, proof }, 'false'],
    [{ complete: true, proof: null }, 'false'],
  ] as const) {
    const database = await testDatabase(t);
    await storeRun(database, { ...run, ...options });
    assert.deepEqual((await database.query(question)).rows, [{ case: expected }]);
    await database.query(`DELETE FROM ingested_events WHERE id = 'evt-2'`);
    assert.deepEqual((await database.query(question)).rows, [{ case: 'false' }]);
    await database.query(`INSERT INTO ingested_events (id) VALUES ('evt-2')`);
    assert.deepEqual((await database.query(question)).rows, [{ case: expected }]);
    // What is newest may be a round of --follow.
    await database.query(
      `INSERT INTO ingestion.run (source_id, source, begun_by, status, proof) VALUES
         (1, 'https://api', 'lookback', 'complete', '{"kind":"api-end"}'), (1, 'https://api', 'new-events', 'abandoned', NULL)`,
    );
    assert.deepEqual((await database.query(question)).rows, [{ case: expected }]);
    if (options.complete) await database.query('ALTER TABLE ingestion.run DROP COLUMN proof');
    assert.deepEqual((await database.query(question)).rows, [{ case: 'false' }]);
  }
});

test('submit.sh asks about the source that SOURCE_NAME names', async (t) => {
  const database = await testDatabase(t);
  await storeRun(database, { source: 'https://api', rows: 3, passTotal: 3, complete: true });
  const other = await questionsAbout(t, 'eu-west');
  await database.query('CREATE TABLE eu_west AS SELECT * FROM ingested_events');
  assert.deepEqual((await database.query(other.rows)).rows, [{ count: '3' }]);
  // The run that is there is of datasync.
  assert.deepEqual((await database.query(other.finished)).rows, []);
  await database.query(`UPDATE ingestion.source SET name = 'eu-west'`);
  assert.deepEqual((await database.query(other.finished)).rows, [{ case: 'true' }]);
  const folder = await folderWith(t);
  const { code, stderr } = await folder.run(SCRIPT, ['--yes', REPOSITORY], { SOURCE_NAME: `eu'` });
  assert.deepEqual([code, /SOURCE_NAME: expected/.test(stderr)], [2, true]);
});

test('submit.sh is content when one of two databases has what the file has', async (t) => {
  const folder = await folderWith(t);
  await folder.useStandIn('docker');
  await mkdir(join(folder.path, 'node_modules'));
  await folder.useStandIn('npm');
  await folder.prepare({ rows: '9\n', status: '{\n  "database": "other",\n  "rows": 3,\n  "finished": true\n}\n' });
  const agrees = await folder.run(SCRIPT, ['--yes', REPOSITORY]);
  assert.equal(agrees.code, 0, agrees.stderr);
  await folder.prepare({ status: '{\n  "rows": 8\n}\n' });
  const differs = await folder.run(SCRIPT, ['--yes', REPOSITORY]);
  assert.equal(differs.code, 5);
  assert.match(differs.stderr, /has 3 ids, the database has 9 events \(the one without Docker: 8\)/);
});
