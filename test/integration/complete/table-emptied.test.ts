/** A table that is empty or gone is seen to be so, and everything is walked again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventsUpTo } from '../../support/scripted-events.ts';
import { ScriptedScene, assertProof, tailOf, warnings } from '../../support/scripted-scene.ts';

const MINUTE = ['--lookback', '60'];

const WAYS = ['TRUNCATE ingested_events', 'DELETE FROM ingested_events', 'DROP TABLE ingested_events'];

for (const [shape, proof] of [
  ['doc', 'api-end'],
  ['live', 'count'],
] as const) {
  void test(`a table that is empty or gone is said to be so, and everything is walked again (${shape} shape)`, async (t) => {
    const scene = await ScriptedScene.open(t, { events: eventsUpTo(2_000), shape });
    await scene.ingestAll();
    for (const statement of WAYS) {
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
  await scene.database.query('TRUNCATE ingested_events');
  await scene.ingestAll();
});

void test('an empty table of a job that never had a row is no reason to say anything', async (t) => {
  const scene = await ScriptedScene.open(t, { events: [], shape: 'doc' });
  assertProof(await scene.ingestAll(), 'api-end');
  assertProof(await scene.ingestAll(), 'api-end');
  scene.api.options.events = eventsUpTo(300);
  await scene.ingestAll();
});
