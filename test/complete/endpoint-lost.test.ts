/** When the stream endpoint is lost in the middle, nothing of it tells where the other endpoint goes on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toCursor, type PageHook } from '../support/scripted-api.ts';
import { eventsUpTo } from '../support/scripted-events.ts';
import { ScriptedScene, assertProof, tailOf } from '../support/scripted-scene.ts';

const EVENTS = eventsUpTo(2_000);
const MAX_PAGE = 100;
const LOST_AFTER = 8;

function placeOf(kind: 'left' | 'served', cursor: string): number {
  const place = EVENTS.findIndex((_, at) => toCursor({ [kind]: at }) === cursor);
  return place === -1 ? -Infinity : place;
}

const ORDERS = [
  { name: 'by id', other: EVENTS.toSorted((one, two) => (String(one.id) < String(two.id) ? -1 : 1)) },
  { name: 'oldest first', other: EVENTS.toReversed() },
  { name: 'the same', other: EVENTS },
] as const;

for (const { name, other } of ORDERS) {
  void test(`every event is a row when the stream endpoint is lost in the middle; the order of the other is: ${name}`, async (t) => {
    const hook: PageHook = ({ number, cursor, isStream }) => {
      if (isStream) return number > LOST_AFTER ? { status: 403, body: { code: 'FORBIDDEN' } } : undefined;
      // A cursor of the stream stands a page further down in this list.
      const from = cursor === null ? 0 : Math.max(placeOf('left', cursor), placeOf('served', cursor) + MAX_PAGE);
      const end = from + MAX_PAGE;
      const hasMore = end < other.length;
      const nextCursor = hasMore ? toCursor({ left: end }) : null;
      return { body: { data: other.slice(from, end), hasMore, nextCursor } };
    };
    const options = { events: EVENTS, shape: 'doc', maxPage: MAX_PAGE, hasOffsetCursor: true, hook } as const;
    const scene = await ScriptedScene.open(t, options);
    await scene.ingestAll();
  });
}

void test('the next start does not take the cursor of one endpoint to the other', async (t) => {
  const hook: PageHook = ({ isStream, cursor, usual }) => {
    // Base64 takes no note of it.
    const isItsOwn = cursor === null || cursor.endsWith('!') === isStream;
    if (!isItsOwn) return { body: { data: EVENTS.slice(-MAX_PAGE), hasMore: false, nextCursor: null } };
    const { nextCursor } = usual.body;
    if (!isStream || typeof nextCursor !== 'string') return undefined;
    return { body: { ...usual.body, nextCursor: `${nextCursor}!` } };
  };
  const options = { events: EVENTS, shape: 'doc', maxPage: MAX_PAGE, hasStream: false, hook } as const;
  const scene = await ScriptedScene.open(t, options);
  const stopped = await scene.stopAt(({ usual }) => usual.first === 500);
  assert.equal(stopped.code, 143, tailOf(stopped));
  scene.api.options.hasStream = true;
  await scene.ingestAll(['--concurrency', '1']);
});

void test('windows go on where they were when the stream endpoint serves again, and nothing comes twice for them', async (t) => {
  let servedByStream = 0;
  let isAway = false;
  let pagesOfChain = 0;
  let servesAgain: () => void = () => undefined;
  const served = new Promise<void>((resolve) => {
    servesAgain = resolve;
  });
  const hook: PageHook = async ({ isStream, usual }) => {
    const isPage = usual.end - usual.first > 1;
    if (!isStream) {
      pagesOfChain += isPage ? 1 : 0;
      // It has come some way, and not far, when the stream endpoint is back.
      if (pagesOfChain < 3) return undefined;
      isAway = false;
      await served;
      return undefined;
    }
    if (isAway) return { status: 404, body: { code: 'NOT_FOUND' } };
    if (pagesOfChain > 0) servesAgain();
    servedByStream += isPage ? 1 : 0;
    isAway = servedByStream === LOST_AFTER;
    return undefined;
  };
  const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: MAX_PAGE, hook });
  const ending = await scene.ingestAll(['--concurrency', '4', '--page-size', String(MAX_PAGE)]);
  assertProof(ending, 'count');
  assert.equal(ending.logs.filter(({ msg }) => msg === 'the windows go on where they were').length, 1, tailOf(ending));
  assert.ok(servedByStream < (EVENTS.length / MAX_PAGE) * 1.7, `${servedByStream} pages of the stream endpoint`);
});
