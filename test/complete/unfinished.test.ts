/** A list of ids from a run that is not finished says so. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { eventsUpTo, newerEvents, NEWEST_MS } from '../support/scripted-events.ts';
import { ScriptedScene, tailOf, warnings } from '../support/scripted-scene.ts';

const COUNT = 2_000;
const MAX_PAGE = 200;

async function fileFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'datasync-ids-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'ids.txt');
}

async function linesOf(file: string): Promise<number> {
  return (await readFile(file, 'utf8')).split('\n').length - 1;
}

void test('the ids of an unfinished run are written, and the end is 7 with the way to complete them', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(COUNT), maxPage: MAX_PAGE });
  const stopped = await scene.stopAt(({ usual }) => usual.first === 1_000);
  assert.equal(stopped.code, 143, tailOf(stopped));
  const output = await fileFor(t);
  const ending = await scene.command('export-ids', ['--output', output]);
  assert.equal(ending.code, 7, ending.stderr);
  assert.match(ending.stderr, /npm start/);
  assert.match(ending.stderr, /not (finished|complete)|unfinished/i);
  assert.equal(await linesOf(output), await scene.count('SELECT count(*) FROM ingested_events'));
  assert.ok((await linesOf(output)) < COUNT);
  // With --partial the end is 0, and they are still said to be that.
  const partial = await scene.command('export-ids', ['--output', output, '--partial']);
  assert.equal(partial.code, 0, partial.stderr);
  assert.match(partial.stderr, /not (finished|complete)|unfinished/i);
  assert.ok((await linesOf(output)) > 0);
});

void test('the ids of a run that is at work are those of an unfinished run', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(COUNT), shape: 'doc', maxPage: MAX_PAGE });
  await scene.ingestAll();
  scene.api.options.events = [...newerEvents(1_000), ...scene.api.options.events];
  const again = await scene.stopAt(({ usual }) => usual.first === 400, ['--lookback', '60']);
  assert.equal(again.code, 143, tailOf(again));
  const ending = await scene.command('export-ids', ['--output', await fileFor(t)]);
  assert.equal(ending.code, 7, ending.stderr);
});

void test('the ids of a run that lacks events are those of an unfinished run', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(500), total: 512 });
  await scene.expect(await scene.ingest(), 5, scene.api.options.events);
  const ending = await scene.command('export-ids', ['--output', await fileFor(t)]);
  assert.equal(ending.code, 7, ending.stderr);
});

for (const shape of ['live', 'doc'] as const) {
  void test(`the ids of a complete run are finished, by whatever it is proven (${shape} shape)`, async (t) => {
    const scene = await ScriptedScene.open(t, { events: eventsUpTo(500), shape });
    await scene.ingestAll();
    const output = await fileFor(t);
    const ending = await scene.command('export-ids', ['--output', output]);
    assert.equal(ending.code, 0, ending.stderr);
    assert.doesNotMatch(ending.stderr, /not (finished|complete)|unfinished/i);
    assert.equal(await linesOf(output), 500);
  });
}

void test('the ids of a first run with a limit are finished, and said to be of that limit', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(500) });
  const limited = await scene.ingest(['--since', String(NEWEST_MS - 99_000)]);
  await scene.expect(limited, 0, eventsUpTo(500).slice(0, 100));
  const output = await fileFor(t);
  const ending = await scene.command('export-ids', ['--output', output]);
  assert.equal(ending.code, 0, ending.stderr);
  assert.match(ending.stderr, /--since or --until/);
  // What runs without limits have brought is all there; a later one with a limit takes nothing away.
  await scene.ingestAll();
  await scene.ingest(['--since', String(NEWEST_MS - 99_000)]);
  assert.doesNotMatch((await scene.command('export-ids', ['--output', output])).stderr, /--since/);
});

void test('a start makes the row of ingestion.owner again, which somebody has deleted', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(300) });
  await scene.ingestAll();
  await scene.database.query('DELETE FROM ingestion.owner');
  scene.api.options.events = [...newerEvents(20), ...eventsUpTo(300)];
  for (const remade of [1, 0]) {
    const ending = await scene.ingestAll();
    assert.equal(warnings(ending, /ingestion.owner was gone/).length, remade, tailOf(ending));
  }
});
