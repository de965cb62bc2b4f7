/** An API that refuses now and then, and serves fewer events a page than are asked for: one job, every event a row. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PageHook } from '../support/scripted-api.ts';
import { eventsUpTo } from '../support/scripted-events.ts';
import { ScriptedScene, assertProof, tailOf } from '../support/scripted-scene.ts';

const EVENTS = eventsUpTo(1_000);
const MAX_PAGE = 50;
const REFUSALS = [401, 403, 404, 405, 406, 409, 410, 420, 422, 423, 430, 451, 499];

for (const hasStream of [true, false]) {
  void test(`a cap that the API names is taken, and what it refuses once comes ${hasStream ? 'from its stream' : 'from /events'}`, async (t) => {
    const left = [...REFUSALS];
    const hook: PageHook = ({ number, cursor, query }) => {
      if (Number(query.get('limit')) > MAX_PAGE)
        return { status: 400, body: { message: `limit must be <= ${MAX_PAGE}` } };
      if (cursor === null || number % 2 !== 0) return undefined;
      const status = left.shift();
      return status === undefined ? undefined : { status, body: { message: 'not now' } };
    };
    const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: MAX_PAGE, hasStream, hook });
    const ending = await scene.ingestAll();
    assertProof(ending, 'count');
    assert.deepEqual(left, []);
    const caps = ending.logs.filter(({ max_events }) => max_events === MAX_PAGE);
    assert.equal(caps.length, 1, tailOf(ending));
  });
}
