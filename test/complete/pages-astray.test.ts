/** A page that does not go on where the last one ended is no page of new places: what comes twice never stands for what is lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PageHook } from '../support/scripted-api.ts';
import { eventsUpTo, newerEvents, NEWEST_MS, type ScriptedEvent } from '../support/scripted-events.ts';
import { ScriptedScene, assertProof, warnings } from '../support/scripted-scene.ts';

const COUNT = 1_500;
const MAX_PAGE = 100;
/** The page that begins here is not served. */
const HIDDEN_FROM = 500;

const timed = eventsUpTo(COUNT);
/** In the order of arrival: one in seven happened long before. */
const byArrival = eventsUpTo(COUNT, (n) => (n % 7 === 0 ? { timestamp: NEWEST_MS - n * 1_000 - 50_000 } : {}));
const untimed = eventsUpTo(COUNT).map((event): ScriptedEvent => ({ ...event, timestamp: -Number.MAX_VALUE }));

/** @param shift how many places above its own the hidden page begins @param times how often it comes so; then it is as it should be */
function astray(events: readonly ScriptedEvent[], shift: number, times = 1): PageHook {
  let left = times;
  return ({ cursor, usual }) => {
    if (cursor === null || usual.first !== HIDDEN_FROM || left === 0) return undefined;
    left -= 1;
    return { body: { ...usual.body, data: events.slice(HIDDEN_FROM - shift, usual.end - shift) } };
  };
}

const LISTS = [
  { name: 'times in order', events: timed },
  { name: 'the order of arrival', events: byArrival },
  { name: 'no times', events: untimed },
] as const;

for (const { name, events } of LISTS) {
  for (const shape of ['live', 'doc'] as const) {
    void test(`a page that is answered with the page before it, or with half of it, once, hides no event (${name}, ${shape})`, async (t) => {
      for (const shift of [MAX_PAGE, MAX_PAGE / 2]) {
        const options = { events, shape, maxPage: MAX_PAGE, hook: astray(events, shift) };
        const scene = await ScriptedScene.open(t, options);
        const ending = await scene.ingestAll();
        assertProof(ending, shape === 'live' ? 'count' : 'api-end');
        if (events === timed) assert.deepEqual(warnings(ending, /order/), [], 'the order is trusted as before');
      }
    });
  }

  void test(`a page that is always answered with the page before it never ends with 0 (${name})`, async (t) => {
    for (const [shape, code] of [
      ['live', 5],
      ['doc', 4],
    ] as const) {
      const options = { events, shape, maxPage: MAX_PAGE, hook: astray(events, MAX_PAGE, Infinity) };
      const scene = await ScriptedScene.open(t, options);
      // As wide as the API's pages: walked again, the pages begin at the same places.
      const ending = await scene.ingest(['--page-size', String(2 * MAX_PAGE)]);
      const hidden = new Set(events.slice(HIDDEN_FROM, HIDDEN_FROM + MAX_PAGE));
      await scene.expect(
        ending,
        code,
        events.filter((event) => !hidden.has(event)),
      );
    }
  });
}

void test('places are counted anew where the order of times breaks inside a chain', async (t) => {
  // Half of the page before comes again, however often it is asked for, until the chain begins again.
  const hook = astray(timed, MAX_PAGE / 2, 3);
  const scene = await ScriptedScene.open(t, { events: timed, maxPage: MAX_PAGE, hook });
  assertProof(await scene.ingestAll(), 'count');
});

void test('new events at the top push others down, under cursors that count places: none stands for one that is lost', async (t) => {
  const events = byArrival;
  let isShort = false;
  const hook: PageHook = ({ number, cursor, usual }) => {
    if (number > 3 && number < 12) scene.api.options.events = [...newerEvents(3 * (number - 3)), ...events];
    if (cursor === null || isShort || usual.first < 900) return undefined;
    isShort = true;
    const { data, ...envelope } = usual.body;
    return {
      body: { ...envelope, meta: { total: COUNT }, data: Array.isArray(data) ? (data.slice(5) as unknown[]) : [] },
    };
  };
  const options = { events, maxPage: MAX_PAGE, hasOffsetCursor: true, total: COUNT, hook };
  const scene = await ScriptedScene.open(t, options);
  const ending = await scene.ingest();
  assert.equal(ending.code, 0);
  const kept = await scene.count(`SELECT count(*) FROM ingested_events WHERE (properties ->> 'n')::int >= 0`);
  assert.equal(kept, COUNT);
});
