/** What `verify` says of a run and its source: by what it is proven, and whether that still holds. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { z } from 'zod';
import { anomalies } from '../../../src/commands/anomalies.ts';
import { status } from '../../../src/commands/status.ts';
import { verify as verifyCommand } from '../../../src/commands/verify.ts';
import type { Simulator, StartOptions } from '../../../src/simulator/simulator.ts';
import { testDatabase, type TestDatabase } from '../../support/database.ts';
import { runCommand, type CommandEnding } from '../../support/command-output.ts';
import { ingestInto, sceneFor } from '../../support/ingestion-scene.ts';
import { KEY, simulatorFor } from '../../support/simulator-client.ts';
import {
  countProof,
  storeAnomaly,
  storeRun,
  takeBackVersion3,
  type StoredRunOptions,
} from '../../support/stored-run.ts';

interface Scene {
  readonly database: TestDatabase;
  readonly simulator: Simulator;
}

/** A complete run of 100 events, unless the test says otherwise, and its API. */
async function sceneOf(
  t: TestContext,
  simulated: StartOptions = {},
  run: Partial<StoredRunOptions> = {},
): Promise<Scene> {
  const [database, simulator] = await Promise.all([testDatabase(t), simulatorFor(t, { events: 100, ...simulated })]);
  await storeRun(database, { source: simulator.baseUrl, rows: 100, passTotal: 100, complete: true, ...run });
  return { database, simulator };
}

async function verify({ database, simulator }: Scene, flags: readonly string[] = []): Promise<CommandEnding> {
  const env = { DATABASE_URL: database.url, API_BASE_URL: simulator.baseUrl, TARGET_API_KEY: KEY, LOG_FORMAT: 'json' };
  return runCommand(() => verifyCommand(flags, env));
}

const PROOF = "by the API's count: 100 places were served, and the API counts 100";

test('verify ends with 0 when table and API are as at the proof, which it quotes, and asks for one event', async (t) => {
  const scene = await sceneOf(t);
  const { code, stdout, stderr } = await verify(scene);
  assert.equal(code, 0, stderr);
  assert.ok(stdout.includes(`Run 1 of ${scene.simulator.baseUrl}: complete, ${PROOF}.`), stdout);
  assert.match(stdout, /The table has 100 rows, as many as the job left in it\./);
  assert.match(stdout, /The API counts 100 events now, as many as at the proof: nothing is missing/);
  const { requests } = scene.simulator.stats();
  assert.equal(requests.stream + requests.events, 1);
  assert.deepEqual(JSON.parse((await verify(scene, ['--json'])).stdout), {
    source: scene.simulator.baseUrl,
    runId: 1,
    runStatus: 'complete',
    proof: countProof(100),
    rows: 100,
    rowsRemembered: 100,
    total: 100,
    totalWhenProven: 100,
    totalWhenTaken: 100,
    takenSince: 0,
    takenBehind: 0,
    problem: null,
  });
});

test('another source than that of the newest run is refused: nothing can be said about it', async (t) => {
  const { database } = await sceneOf(t);
  const other = await simulatorFor(t, { events: 100 });
  const { code, stdout, stderr } = await verify({ database, simulator: other });
  assert.equal(code, 2);
  assert.equal(stdout, '');
  assert.match(stderr, /took its events from http:.*, and these settings name http:.*API_BASE_URL/);
  assert.equal(other.log().length, 0, 'it is not even asked');
});

test('an unfinished run and one that is not proven end with 5', async (t) => {
  for (const [run, problem] of [
    [{ complete: false }, /Run 1 is not complete: npm start goes on with it/],
    [{ proof: null }, /Run 1 was completed, and is not proven: npm start proves/],
    [
      { proof: { kind: 'none', places: 1, expected: 2, sentence: 'pages contradict each other' } },
      /is not proven: pages contradict each other: npm start .*npm start -- --full/,
    ],
  ] as const) {
    const { code, stdout, stderr } = await verify(await sceneOf(t, {}, run));
    assert.equal(code, 5, stderr);
    assert.match(stderr, problem);
    assert.doesNotMatch(stdout, /nothing is missing/);
  }
});

test('a database that only version 1.0.0 has used is not proven', async (t) => {
  const scene = await sceneOf(t);
  await takeBackVersion3(scene.database);
  const { code, stdout, stderr } = await verify(scene);
  assert.equal(code, 5, stderr);
  assert.match(stdout, /The table has 100 rows; how many the job left in it was never counted/);
});

test('rows that were deleted show, whatever was rejected', async (t) => {
  const scene = await sceneOf(t);
  const original = Buffer.from('{"type":"click"}');
  await storeAnomaly(scene.database, 1, { kind: 'rejected', field: 'id', reason: 'id-missing', original });
  await scene.database.query("DELETE FROM ingested_events WHERE id LIKE 'evt-1%'");
  const { code, stdout, stderr } = await verify(scene);
  assert.equal(code, 5);
  assert.match(stdout, /The table has 88 rows, 12 fewer than the 100 that the job left in it/);
  assert.match(stderr, /12 rows are gone: .* has 88, and the job left 100 in it.*--full.*--accept-fewer-rows/);
  await scene.database.query('DROP TABLE ingested_events');
  assert.match((await verify(scene)).stderr, /100 rows are gone/);
});

test('rows of somebody else do not stand in for anything, and are no reason to complain', async (t) => {
  const scene = await sceneOf(t);
  await scene.database.query("INSERT INTO ingested_events (id) VALUES ('mine')");
  const { code, stdout } = await verify(scene);
  assert.equal(code, 0);
  assert.match(stdout, /The table has 101 rows, 1 more than the 100/);
});

test('a larger total than at the proof ends with 5, a smaller one says what that means', async (t) => {
  const more = await verify(await sceneOf(t, { events: 107 }));
  assert.equal(more.code, 5);
  assert.match(more.stderr, /7 events came since the proof, or are missing: npm start takes what is new/);
  const fewer = await verify(await sceneOf(t, { events: 90 }));
  assert.equal(fewer.code, 0, fewer.stderr);
  assert.match(fewer.stdout, /10 fewer than at the proof: it deletes events, or keeps them for a limited time/);
  assert.doesNotMatch(fewer.stdout, /nothing is missing/);
});

test('without a total, then or now, verify says what it cannot know', async (t) => {
  const now = await verify(await sceneOf(t, { shape: 'docs' }));
  assert.equal(now.code, 0, now.stderr);
  assert.match(
    now.stdout,
    /How many events the API has now is not known: whether any came since the proof cannot be said/,
  );
  const proof = { kind: 'api-end', places: 100, expected: null, sentence: 'the API ended it' } as const;
  const then = await verify(await sceneOf(t, {}, { passTotal: null, proof }));
  assert.equal(then.code, 0, then.stderr);
  assert.match(then.stdout, /by the API's own end: the API ended it[^]*What it counted at a proof is not known/);
  assert.doesNotMatch(now.stdout + then.stdout, /nothing is missing/);
});

test('the total is held against the last run without limits that was proven', async (t) => {
  const scene = await sceneOf(t, { events: 105 });
  await scene.database.query(
    `INSERT INTO ingestion.run (source_id, source, since_ms, status, pass_total, proof)
     SELECT source_id, source, 5, 'complete', 105, proof FROM ingestion.run WHERE run_id = 1`,
  );
  const limited = await verify(scene);
  assert.equal(limited.code, 5);
  assert.match(limited.stderr, /5 events came since the proof/);
  await scene.database.query('UPDATE ingestion.run SET since_ms = NULL, floor_ms = 5 WHERE run_id = 2');
  assert.equal((await verify(scene)).code, 0);
});

test('what a round of --follow has rejected was taken, unless a run before had it', async (t) => {
  const scene = await sceneOf(t, { events: 105 });
  await scene.database.query(
    `INSERT INTO ingestion.run (source_id, source, begun_by, floor_ms, status, pass_total, inserted, proof)
     SELECT source_id, source, 'new-events', 5, 'complete', 105, 3, proof FROM ingestion.run`,
  );
  const reject = (runId: number, text: string) =>
    storeAnomaly(scene.database, runId, { kind: 'rejected', field: 'id', reason: 'no', original: Buffer.from(text) });
  for (const [run, text] of [
    [1, 'known'],
    [2, 'known'],
    [2, 'new'],
  ] as const)
    await reject(run, text);
  const short = await verify(scene);
  assert.equal(short.code, 5);
  assert.match(short.stderr, /The API counted 5 more events since the proof, and 4 were served: .*npm start does now/);
  await reject(2, 'newer');
  const { code, stdout, stderr } = await verify(scene);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /5 more than at the last proof.*; 5 were taken since/);
});

test('beside the job that is at work on it, an unfinished run is not for npm start to go on with', async (t) => {
  const endings: CommandEnding[] = [];
  const [database, simulator] = await Promise.all([testDatabase(t), simulatorFor(t, { events: 100 })]);
  const run = { source: simulator.baseUrl, rows: 100, passTotal: 100, complete: false };
  await storeRun(database, { ...run, while: async () => void endings.push(await verify({ database, simulator })) });
  assert.match(endings[0]?.stderr ?? '', /Run 1 is not complete: process \d+ on here works on it/);
});

test('verify ends with 3 when the key is refused, and with 2 when there is none, or no run', async (t) => {
  const scene = await sceneOf(t, { key: 'another' });
  assert.equal((await verify(scene)).code, 3);
  const env = { DATABASE_URL: scene.database.url, API_BASE_URL: scene.simulator.baseUrl };
  const keyless = await runCommand(() => verifyCommand([], env));
  assert.equal(keyless.code, 2);
  assert.match(keyless.stderr, /TARGET_API_KEY/);
  await scene.database.query('DELETE FROM ingestion.run');
  const none = await verify(scene);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /There is no run in/);
});

test('what a complete run has left is verified, and shown as complete', async (t) => {
  const { simulator, database } = await ingestInto(await sceneFor(t, { events: 4_321, badIds: 0.005, nasty: 0.01 }));
  const env = { DATABASE_URL: database.url, API_BASE_URL: simulator.baseUrl, TARGET_API_KEY: KEY };
  const run = async (command: typeof verifyCommand, flags: readonly string[]) => {
    const { code, stdout, stderr } = await runCommand(() => command(flags, env));
    assert.equal(code, 0, stdout + stderr);
    return stdout;
  };
  // A run that is complete without a proof gets one here, so that this holds whatever the job proves itself by.
  await database.query('UPDATE ingestion.run SET proof = coalesce(proof, $1)', [countProof(4_321)]);
  const checked = z
    .looseObject({ rows: z.number(), rowsRemembered: z.number(), problem: z.null() })
    .parse(JSON.parse(await run(verifyCommand, ['--json'])));
  assert.equal(checked.rows, checked.rowsRemembered);
  const report = JSON.parse(await run(status, ['--json'])) as {
    rows: number;
    finished: boolean;
    run: { status: string; percent: number };
  };
  assert.deepEqual([report.rows, report.finished, report.run.status], [checked.rows, true, 'complete']);
  const counts = JSON.parse(await run(anomalies, ['--json', '--kind', 'rejected'])) as { count: number }[];
  assert.equal(
    counts.reduce((sum, { count }) => sum + count, checked.rows),
    4_321,
  );
});
