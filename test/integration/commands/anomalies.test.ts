import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { testDatabase, type TestDatabase } from '../../support/database.ts';
import { anomalies as showAnomalies } from '../../../src/commands/anomalies.ts';
import { runCommand, type CommandEnding } from '../../support/command-output.ts';
import { storeAnomaly, storeRun } from '../../support/stored-run.ts';

const NOT_UTF8 = Buffer.from([0x7b, 0xff, 0x7d]);
const EVENT = '{"id":"evt-1","name":"a\\u0000b"}';

async function prepared(t: TestContext): Promise<TestDatabase> {
  const database = await testDatabase(t);
  const runId = await storeRun(database, { source: 'api', rows: 1, passTotal: 3, complete: true });
  const add = (kind: 'rejected' | 'repaired', field: string, reason: string, original: Buffer) =>
    storeAnomaly(database, runId, { kind, field, reason, original });
  await add('repaired', 'name', 'nul', Buffer.from(EVENT));
  await add('rejected', 'id', 'missing', Buffer.from('{}'));
  await add('rejected', 'id', 'missing', NOT_UTF8);
  return database;
}

async function anomalies(database: TestDatabase, flags: readonly string[]): Promise<CommandEnding> {
  return runCommand(() => showAnomalies(flags, { DATABASE_URL: database.url }));
}

test('anomalies counts by reason, most frequent first, for machines and for people', async (t) => {
  const database = await prepared(t);
  const { code, stdout, stderr } = await anomalies(database, ['--json']);
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), [
    { kind: 'rejected', field: 'id', reason: 'missing', count: 2 },
    { kind: 'repaired', field: 'name', reason: 'nul', count: 1 },
  ]);
  assert.match((await anomalies(database, [])).stdout, /2 .* rejected .* id .* missing/);
  assert.deepEqual(JSON.parse((await anomalies(database, ['--json', '--kind', 'repaired'])).stdout), [
    { kind: 'repaired', field: 'name', reason: 'nul', count: 1 },
  ]);
  assert.match((await anomalies(database, ['--run', '7'])).stdout, /No anomalies/);
});

test('anomalies writes the original events, and no byte of them is lost', async (t) => {
  const database = await prepared(t);
  const folder = await mkdtemp(join(tmpdir(), 'datasync-anomalies-'));
  t.after(() => rm(folder, { recursive: true }));
  const output = join(folder, 'anomalies.jsonl');
  const { code, stderr } = await anomalies(database, ['--output', output]);
  assert.equal(code, 0, stderr);
  const lines = (await readFile(output, 'utf8')).trimEnd().split('\n');
  const [first, , third] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(lines.length, 3);
  assert.equal(first?.['original'], EVENT);
  assert.equal(third?.['originalBase64'], NOT_UTF8.toString('base64'));
});

test('anomalies names an option that it cannot use', async (t) => {
  const database = await prepared(t);
  for (const flags of [
    ['--kind', 'odd'],
    ['--run', 'last'],
    ['--output', '/no/such/folder/file'],
  ]) {
    const { code, stderr } = await anomalies(database, flags);
    assert.equal(code, 2);
    assert.match(stderr, new RegExp(flags[0] ?? ''));
  }
});
