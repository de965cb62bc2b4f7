/** A list of something unfinished says that it is: on stderr, and by its exit code. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { z } from 'zod';
import type { Proof } from '../../../src/core/state.ts';
import { openClient, testDatabase, type TestDatabase } from '../../support/database.ts';
import { exportIds } from '../../../src/commands/export-ids.ts';
import { runCommand } from '../../support/command-output.ts';
import { storeRun, takeBackVersion3 } from '../../support/stored-run.ts';

const RUN = { source: 'https://datasync-api.example.com/api/v1', rows: 20, passTotal: 20 };
const log = z.array(z.looseObject({ level: z.string(), msg: z.string() }));

async function exported(t: TestContext, database: TestDatabase, flags: readonly string[] = []) {
  const folder = await mkdtemp(join(tmpdir(), 'datasync-export-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const output = join(folder, 'ids.txt');
  const env = { DATABASE_URL: database.url, LOG_FORMAT: 'json' };
  const { code, stderr } = await runCommand(() => exportIds(['--output', output, ...flags], env));
  const lines = stderr.split('\n').filter((line) => line.startsWith('{'));
  return {
    code,
    stderr,
    said: log.parse(lines.map((line): unknown => JSON.parse(line))),
    ids: (await readFile(output, 'utf8')).trimEnd().split('\n').length,
  };
}

/** The file is whole, the line names the reason and the way, the code is 7; with `--partial` it is a warning and 0. */
async function assertUnfinished(t: TestContext, database: TestDatabase, why: RegExp, ids = 20): Promise<void> {
  const refused = await exported(t, database);
  assert.deepEqual([refused.code, refused.ids], [7, ids], refused.stderr);
  const [line, ...others] = refused.said;
  assert.equal(others.length, 0);
  assert.equal(line?.level, 'error');
  assert.match(line.msg, why);
  assert.match(line.msg, /npm start completes it; .*--partial/);
  const wanted = await exported(t, database, ['--partial']);
  assert.deepEqual([wanted.code, wanted.ids], [0, ids], wanted.stderr);
  assert.deepEqual(
    wanted.said.map(({ level, msg }) => [level, msg]),
    [['warn', 'the ids may not be all']],
  );
}

test('ids in the middle of a run are written, and said to be a part', async (t) => {
  const database = await testDatabase(t);
  await storeRun(database, { ...RUN, complete: false });
  await assertUnfinished(t, database, /run 1 is not finished/);
});

test('the newest run counts, whatever an earlier one came to', async (t) => {
  const database = await testDatabase(t);
  await storeRun(database, { ...RUN, complete: true });
  assert.equal((await exported(t, database)).code, 0);
  await database.query(`INSERT INTO ingestion.run (source_id, source) VALUES (1, '${RUN.source}')`);
  await assertUnfinished(t, database, /run 2 is not finished/);
  await database.query(`UPDATE ingestion.run SET status = 'abandoned' WHERE run_id = 2`);
  await assertUnfinished(t, database, /run 2 is not finished/);
});

test('a complete run is finished by the count and by the end of the API, and by nothing else', async (t) => {
  const proofs: readonly (readonly [Proof | null, RegExp | null])[] = [
    [{ kind: 'count', places: 20, expected: 20, sentence: '20 of 20' }, null],
    [{ kind: 'api-end', places: 20, expected: null, sentence: 'the API ended it' }, null],
    [
      { kind: 'none', places: 20, expected: null, sentence: 'the pages contradict each other' },
      /not proven: the pages/,
    ],
    [null, /run 1 was completed without a proof/],
  ];
  for (const [proof, why] of proofs) {
    const database = await testDatabase(t);
    await storeRun(database, { ...RUN, complete: true, proof });
    if (why !== null) await assertUnfinished(t, database, why);
    else assert.deepEqual([(await exported(t, database)).code, (await exported(t, database)).said], [0, []]);
  }
});

test('a database that only version 1.0.0 has used has no proof: its list is written with code 7', async (t) => {
  const database = await testDatabase(t);
  await storeRun(database, { ...RUN, complete: true });
  await takeBackVersion3(database);
  await assertUnfinished(t, database, /run 1 was completed without a proof/);
});

test('a table that no run is recorded for is written, and said to be of unknown origin', async (t) => {
  const database = await testDatabase(t);
  await database.query('CREATE TABLE ingested_events AS SELECT generate_series(1, 5) AS id');
  await assertUnfinished(t, database, /no run is recorded in this database/, 5);
});

test('what a job adds while the ids are read is not taken for rows that are gone', async (t) => {
  const database = await testDatabase(t);
  await storeRun(database, { ...RUN, complete: true });
  const job = await openClient(t, database.url);
  await job.query('BEGIN');
  await job.query('UPDATE ingestion.target_rows SET rows = rows + 1');
  await job.query(`INSERT INTO ingested_events (id) VALUES ('evt-new')`);
  // The export, which reads this beside the ids, meets the job's merge in its middle.
  await job.query('LOCK ingestion.target_rows IN ACCESS EXCLUSIVE MODE');
  const exporting = exported(t, database);
  while ((await database.number('SELECT count(*) FROM pg_locks WHERE NOT granted')) === 0);
  await job.query('COMMIT');
  const { code, said } = await exporting;
  assert.deepEqual([code, said], [0, []]);
});
