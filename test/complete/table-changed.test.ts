/** What the job remembers of its table is looked at: rows that have gone are never taken for rows that are there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventsUpTo, newerEvents } from '../support/scripted-events.ts';
import { assertProof, ScriptedScene, tailOf, warnings, type Ending } from '../support/scripted-scene.ts';

const MINUTE = ['--lookback', '60'];
const EMPTY = 'TRUNCATE ingested_events';

/** Deletes the oldest rows: no incremental run comes near them. */
async function deleteOldest(scene: ScriptedScene, count: number): Promise<void> {
  const { rowCount } = await scene.database.query(
    'DELETE FROM ingested_events WHERE id IN (SELECT id FROM ingested_events ORDER BY occurred_at LIMIT $1)',
    [count],
  );
  assert.equal(rowCount, count);
}

/** A refusal that a person can act on: how many rows were remembered, how many there are, and both ways out. */
function assertFewerRows({ code, reason }: Pick<Ending, 'code' | 'reason'>, remembered: number, found: number): void {
  assert.equal(code, 5, reason);
  for (const part of [String(remembered), String(found), '--full', '--accept-fewer-rows']) {
    assert.ok(reason.includes(part), `"${part}" is not in: ${reason}`);
  }
}

async function verifyFewerRows(scene: ScriptedScene, ...rows: [number, number]): Promise<void> {
  const { code, stderr } = await scene.command('verify');
  assertFewerRows({ code, reason: stderr }, ...rows);
}

/** A start is refused before it asks for a page. */
async function expectRefused(scene: ScriptedScene, flags: readonly string[], rows: [number, number]): Promise<void> {
  const before = scene.api.pageRequests;
  assertFewerRows(await scene.ingest(flags), ...rows);
  assert.equal(scene.api.pageRequests, before, 'a page was asked for');
}

/** The first run's events, then newer ones of which a check refuses 20; then it is dropped and everything is walked again. */
async function rejectedAndThenLoaded(scene: ScriptedScene): Promise<void> {
  await scene.ingestAll();
  await scene.database.query(`ALTER TABLE ingested_events ADD CONSTRAINT no_bad CHECK (name NOT LIKE 'bad%')`);
  const older = scene.api.options.events;
  const newer = newerEvents(500, (n) => (n >= -20 ? { name: `bad_${n}` } : {}));
  scene.api.options.events = [...newer, ...older];
  await scene.expect(await scene.ingest(), 0, [...newer.slice(0, 480), ...older]);
  await scene.database.query('ALTER TABLE ingested_events DROP CONSTRAINT no_bad');
  await scene.ingestAll(['--full']);
}

void test('events that were once rejected and then loaded hide no deleted row', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(1_500) });
  await rejectedAndThenLoaded(scene);
  await deleteOldest(scene, 20);
  await verifyFewerRows(scene, 2_000, 1_980);
  await expectRefused(scene, [], [2_000, 1_980]);
  await scene.ingestAll(['--full']);
  assert.equal((await scene.command('verify')).code, 0);
});

void test('ids that the API has twice hide no deleted row, however many runs have met them', async (t) => {
  const events = eventsUpTo(1_000).flatMap((event, n) =>
    n < 10 ? [event, { ...event, name: `${event.name}_b` }] : [event],
  );
  const scene = await ScriptedScene.open(t, { events });
  for (let start = 1; start <= 3; start += 1) await scene.ingestAll(MINUTE);
  await deleteOldest(scene, 20);
  await verifyFewerRows(scene, 1_000, 980);
  await expectRefused(scene, MINUTE, [1_000, 980]);
  await scene.ingestAll(['--full', ...MINUTE]);
});

for (const shape of ['doc', 'live'] as const) {
  void test(`a table that lost half of its rows is refused, and both ways out lead to 0 (${shape} shape)`, async (t) => {
    const events = eventsUpTo(2_000);
    const scene = await ScriptedScene.open(t, { events, shape });
    await scene.ingestAll();
    await deleteOldest(scene, 1_000);
    await expectRefused(scene, MINUTE, [2_000, 1_000]);
    await verifyFewerRows(scene, 2_000, 1_000);

    // What was deleted on purpose stays deleted, and is not asked about again.
    await scene.expect(await scene.ingest([...MINUTE, '--accept-fewer-rows']), 0, events.slice(0, 1_000));
    await scene.expect(await scene.ingest(MINUTE), 0, events.slice(0, 1_000));
    await scene.ingestAll(['--full']);
  });
}

void test('rows that are gone together with what was remembered of them are missed by what the runs have inserted', async (t) => {
  const events = eventsUpTo(1_000);
  const scene = await ScriptedScene.open(t, { events });
  await scene.ingestAll();
  await deleteOldest(scene, 300);
  await scene.database.query('DELETE FROM ingestion.target_rows');
  await verifyFewerRows(scene, 1_000, 700);
  await expectRefused(scene, MINUTE, [1_000, 700]);
  await scene.expect(await scene.ingest([...MINUTE, '--accept-fewer-rows']), 0, events.slice(0, 700));
  await scene.expect(await scene.ingest(MINUTE), 0, events.slice(0, 700));
});

void test('a table that was replaced by an older dump is refused, and --full brings what it lacks', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(1_000), shape: 'doc' });
  await scene.ingestAll();
  await scene.database.query('CREATE TABLE public.dump AS TABLE ingested_events');
  scene.api.options.events = [...newerEvents(500), ...scene.api.options.events];
  await scene.ingestAll();
  await scene.database.query(EMPTY);
  await scene.database.query('INSERT INTO ingested_events SELECT * FROM public.dump');
  scene.api.options.events = [...newerEvents(600).slice(0, 100), ...scene.api.options.events];
  await expectRefused(scene, MINUTE, [1_500, 1_000]);
  await scene.ingestAll(['--full']);
});

void test('a table that was emptied and filled with more rows of another kind is walked again', async (t) => {
  const events = eventsUpTo(1_000);
  const scene = await ScriptedScene.open(t, { events, shape: 'doc' });
  await scene.ingestAll();
  await scene.database.query(
    'CREATE TABLE public.dump AS SELECT * FROM ingested_events ORDER BY occurred_at DESC LIMIT 800',
  );
  await scene.database.query(EMPTY);
  await scene.database.query('INSERT INTO ingested_events SELECT * FROM public.dump');
  await scene.database.query(
    `INSERT INTO ingested_events (id, name) SELECT gen_random_uuid(), 'by hand' FROM generate_series(1, 300)`,
  );
  const ending = await scene.ingest(MINUTE);
  assert.equal(ending.code, 0, tailOf(ending));
  assert.equal(warnings(ending, /made anew/).length, 1, tailOf(ending));
  await scene.database.query(`DELETE FROM ingested_events WHERE name = 'by hand'`);
  await scene.ingestAll(['--accept-fewer-rows', ...MINUTE]);
});

void test('rows that were added by others change nothing', async (t) => {
  const events = eventsUpTo(1_000);
  const scene = await ScriptedScene.open(t, { events });
  await scene.ingestAll();
  await scene.database.query(`INSERT INTO ingested_events (id, name) VALUES (gen_random_uuid(), 'by hand')`);
  const ending = await scene.ingest(MINUTE);
  assert.equal(ending.code, 0, tailOf(ending));
  assert.equal((await scene.command('verify')).code, 0);
});

for (const [shape, proof, ways] of [
  ['doc', 'api-end', [EMPTY, 'DELETE FROM ingested_events', 'DROP TABLE ingested_events']],
  ['live', 'count', [EMPTY]],
] as const) {
  void test(`a table that is empty or gone is said to be so, and everything is walked again (${shape} shape)`, async (t) => {
    const scene = await ScriptedScene.open(t, { events: eventsUpTo(2_000), shape });
    await scene.ingestAll();
    for (const statement of ways) {
      await scene.database.query(statement);
      const ending = await scene.ingestAll(MINUTE);
      assertProof(ending, proof);
      assert.equal(warnings(ending, /empty|gone|not there/i).length, 1, `${statement}\n${tailOf(ending)}`);
    }
  });
}

void test('an unfinished run whose rows were deleted is not gone on with as if they were there', async (t) => {
  const events = eventsUpTo(2_000);
  const scene = await ScriptedScene.open(t, { events, shape: 'doc', maxPage: 200 });
  const stopped = await scene.stopAt(({ usual }) => usual.first === 1_000);
  assert.equal(stopped.code, 143, tailOf(stopped));
  await scene.database.query(EMPTY);
  await scene.ingestAll();
});

void test('rows that are gone are missed until a run walks again, whatever starts were refused before', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(1_000), shape: 'doc' });
  await scene.stopAt(({ usual }) => usual.first === 400);
  const merged = await scene.count('SELECT count(*) FROM ingested_events');
  await deleteOldest(scene, 100);
  assert.equal((await scene.ingest(['--full', '--id-type', 'text'])).code, 2);
  await expectRefused(scene, [], [merged, merged - 100]);
  await scene.ingestAll(['--full']);
});

void test('an empty table of a job that never had a row is no reason to say anything', async (t) => {
  const scene = await ScriptedScene.open(t, { events: [], shape: 'doc' });
  assertProof(await scene.ingestAll(), 'api-end');
  assertProof(await scene.ingestAll(), 'api-end');
  scene.api.options.events = eventsUpTo(300);
  await scene.ingestAll();
});

void test('a window of an unfinished run whose row somebody has deleted is walked again', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(2_000), shape: 'doc', latencyMs: 5, maxPage: 50 });
  await scene.stopAt(({ number }) => number === 25, ['--concurrency', '4']);
  const gone = await scene.database.query(
    `DELETE FROM ingestion.state WHERE (run_id, window_id) IN
       (SELECT run_id, window_id FROM ingestion.state WHERE since_ms IS NOT NULL AND until_ms IS NOT NULL LIMIT 1)`,
  );
  assert.equal(gone.rowCount, 1, 'there is a window between two others');
  const ending = await scene.ingestAll(['--concurrency', '4']);
  assert.equal(warnings(ending, /rows of ingestion.state are gone/).length, 1, tailOf(ending));
});
