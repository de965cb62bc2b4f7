/** Accounting for every event is not success when hardly any became a row: how runs with many rejected events end. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { z } from 'zod';
import type { RawEvent, StartOptions } from '../../../src/simulator/simulator.ts';
import { readRunCounts } from '../../support/exact-target.ts';
import { ingestInto, pageRequests, sceneFor } from '../../support/ingestion-scene.ts';
import { ingest, jobFor } from '../../support/ingestion.ts';
import { startMain } from '../../support/processes.ts';
import { testDatabase } from '../../support/database.ts';
import { KEY, simulatorFor } from '../../support/simulator-client.ts';

/** Events whose id is somewhere else. */
function underscored(count: number, step = 1): readonly RawEvent[] {
  return Array.from({ length: count }, (_, index) => ({
    position: index * step,
    raw: `{"_id":"${index}","ts":1769541612369}`,
    id: null,
  }));
}

const onePage = { BATCH_SIZE: '5000' };

test('a data set of which every event was rejected ends with code 5, the reason and the keys, and stays unfinished', async (t) => {
  const scene = await sceneFor(t, { events: 0, rawEvents: underscored(1_001) });
  const { exitCode, error } = await ingest(scene.target, onePage);
  assert.equal(exitCode, 5, error?.message);
  assert.match(error?.message ?? '', /events were rejected \(100 %\): 1001 for id: id-missing \(.*"_id", "ts"\)/);
  assert.equal((await readRunCounts(scene.database)).status, 'running');
  const before = pageRequests(scene.simulator);
  await ingestInto(scene, { ...onePage, MAX_REJECTED: '100%' });
  assert.ok(pageRequests(scene.simulator) - before <= 3, 'nothing is walked again');
});

test('more than 5 % rejected end with code 5, and a percentage says how many may be', async (t) => {
  const scene = await sceneFor(t, { events: 2_000, rawEvents: underscored(200, 10) });
  const { exitCode, error } = await ingest(scene.target);
  assert.equal(exitCode, 5, error?.message);
  assert.match(error?.message ?? '', /events were rejected \(\d+(\.\d)? %\): 200 for id: id-missing/);
  assert.equal((await ingest(scene.target, { MAX_REJECTED: '8%' })).exitCode, 5);
  const { counts } = await ingestInto(scene, { MAX_REJECTED: '15%' });
  assert.equal(counts.inserted, 2_000);
});

test('a source of another kind is found on the first pages, with code 2 and few requests', async (t) => {
  for (const streamAccess of ['granted', 'absent'] as const) {
    const scene = await sceneFor(t, { events: 0, rawEvents: underscored(12_000), streamAccess, latency: 20 });
    const { exitCode, error } = await ingest(scene.target, { BATCH_SIZE: '200' });
    assert.equal(exitCode, 2, error?.message);
    assert.match(
      error?.message ?? '',
      /all for one reason: \d+ for id: id-missing \(.*"_id", "ts"\).*--max-rejected 100%/,
    );
    assert.ok(pageRequests(scene.simulator) < 40, `${pageRequests(scene.simulator)} requests`);
  }
});

test('--max-rejected counts when a run ends complete, also when a stop was asked for meanwhile', async (t) => {
  const rejected = underscored(99, 3);
  const scene = await sceneFor(t, { events: 400, rawEvents: rejected, latency: 400 });
  const { job, run } = jobFor(scene.target, { MAX_REJECTED: '5', ...onePage });
  const ending = run();
  while (pageRequests(scene.simulator) === 0) await new Promise((resolve) => setImmediate(resolve));
  job.stop();
  const { exitCode, error } = await ending;
  assert.equal(exitCode, 4, error?.message);
  assert.match(error?.message ?? '', /99 events were rejected, and --max-rejected allows 5/);
  assert.equal((await readRunCounts(scene.database)).status, 'running');
});

const lastLine = z.looseObject({ level: z.string(), msg: z.string(), proof: z.string(), proof_text: z.string() });

async function lastLineOf(t: TestContext, options: StartOptions): Promise<z.infer<typeof lastLine>> {
  const simulator = await simulatorFor(t, options);
  const { url } = await testDatabase(t);
  const env = { DATABASE_URL: url, API_BASE_URL: simulator.baseUrl, TARGET_API_KEY: KEY };
  const program = startMain(t, [], { env });
  const { code } = await program.waitForExit();
  assert.equal(code, 0, program.stdout);
  return lastLine.parse(JSON.parse(program.stdout.trimEnd().split('\n').at(-1) ?? ''));
}

test('the last line is a warning when an event was rejected, and says by what the run is proven', async (t) => {
  const clean = await lastLineOf(t, { events: 500 });
  assert.deepEqual([clean.level, clean.msg], ['info', 'ingestion complete']);
  assert.notEqual(clean.proof_text, '');
  const odd = await lastLineOf(t, { events: 500, rawEvents: underscored(1) });
  assert.deepEqual([odd.level, odd.msg], ['warn', 'ingestion complete']);
});
