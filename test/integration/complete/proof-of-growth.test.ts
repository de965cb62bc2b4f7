/** An incremental run is proven by the growth of the API's total, where that can be judged. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventNumber, eventsUpTo, newerEvents, newestFirst, uuidFrom } from '../../support/scripted-events.ts';
import { ScriptedScene, assertProof, tailOf } from '../../support/scripted-scene.ts';

const COUNT = 2_000;
const LOOKBACK = ['--lookback', '60'];

/** A complete run over the API's first events. */
async function afterFirstRun(scene: ScriptedScene): Promise<void> {
  scene.api.options.events = eventsUpTo(COUNT);
  assertProof(await scene.ingestAll(LOOKBACK), 'count');
}

void test('an incremental run is proven by the growth of the total, and finds events below its floor by which that grew', async (t) => {
  const scene = await ScriptedScene.open(t, { events: [], maxPage: 200 });
  await afterFirstRun(scene);
  const newer = [...newerEvents(500), ...eventsUpTo(COUNT)];
  for (let start = 1; start <= 2; start += 1) {
    scene.api.options.events = newer;
    assertProof(await scene.ingestAll(LOOKBACK), 'count');
  }
  const late = Array.from({ length: 20 }, (_, k) => eventNumber(1_500 + k, { id: uuidFrom(`late ${k}`) }));
  scene.api.options.events = newestFirst([...newerEvents(600), ...eventsUpTo(COUNT), ...late]);
  assertProof(await scene.ingestAll(LOOKBACK), 'count');
});

void test('an incremental run over an API that has deleted old events is complete, and not proven by a count', async (t) => {
  const scene = await ScriptedScene.open(t, { events: [], maxPage: 200 });
  await afterFirstRun(scene);
  const newer = newerEvents(300);
  scene.api.options.events = [...newer, ...eventsUpTo(COUNT - 500)];
  const ending = await scene.ingest(LOOKBACK);
  await scene.expect(ending, 0, [...newer, ...eventsUpTo(COUNT)]);
  assertProof(ending, 'api-end');
});

void test('an incremental run with another lookback is complete, and not proven by a count', async (t) => {
  const scene = await ScriptedScene.open(t, { events: [], maxPage: 200 });
  await afterFirstRun(scene);
  scene.api.options.events = [...newerEvents(300), ...eventsUpTo(COUNT)];
  assertProof(await scene.ingestAll(['--lookback', '120']), 'api-end');
});

void test('rows deleted below the floor of an incremental run are not made up for by its count', async (t) => {
  const scene = await ScriptedScene.open(t, { events: [], maxPage: 200 });
  await afterFirstRun(scene);
  await scene.database.query('DELETE FROM ingested_events WHERE id = $1', [uuidFrom('event 1800')]);
  scene.api.options.events = [...newerEvents(300), ...eventsUpTo(COUNT)];
  const ending = await scene.ingest(LOOKBACK);
  assert.equal(ending.code, 5, tailOf(ending));
});
