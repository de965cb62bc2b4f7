/** A page that says that it failed, or that has nothing, is not the API's word that there was nothing else: in the middle of a chain as at its end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PageHook, UsualPage } from '../support/scripted-api.ts';
import { eventsUpTo, newerEvents, NEWEST_MS } from '../support/scripted-events.ts';
import { assertProof, ScriptedScene, tailOf } from '../support/scripted-scene.ts';

const EVENTS = eventsUpTo(2_000);
const MAX_PAGE = 200;
/** A shard that does not answer has these events. */
const isOnShard = (place: number): boolean => place >= 850 && place < 900;

/** The events that the API could get, and the word that they are not all. */
function partOf(
  { body, first, end }: UsualPage,
  words: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return { ...body, ...words, data: EVENTS.slice(first, end).filter((_, at) => !isOnShard(first + at)) };
}

const touchesShard = ({ first, end }: UsualPage): boolean => first < 900 && end > 850;

/** Each page with words of a failure is asked for again, with a pause. */
const FEW_PAGES = ['--page-size', '1000', '--lookback', '60'];

const WORDS = [
  { success: false },
  { partial: true },
  { statusCode: 206, code: 'PARTIAL_RESULT' },
  { errors: ['shard 3 timed out'] },
];

for (const words of WORDS) {
  const text = JSON.stringify(words);
  void test(`a page with events that says ${text} once, and that more follows, is asked for again`, async (t) => {
    let times = 0;
    const hook: PageHook = ({ usual }) => {
      if (!touchesShard(usual) || times > 0) return undefined;
      times += 1;
      return { body: partOf(usual, words) };
    };
    const scene = await ScriptedScene.open(t, { events: EVENTS, shape: 'doc', maxPage: MAX_PAGE, hook });
    assertProof(await scene.ingestAll(), 'api-end');
  });
}

void test('a page with events that goes on saying that it failed ends the job with 4; started again, it takes the rest', async (t) => {
  const hook: PageHook = ({ usual }) => (touchesShard(usual) ? { body: partOf(usual, { success: false }) } : undefined);
  const scene = await ScriptedScene.open(t, { events: EVENTS, shape: 'doc', maxPage: MAX_PAGE, hook });
  const there = EVENTS.filter((_, place) => !isOnShard(place));
  await scene.expect(await scene.ingest(), 4, there);
  await scene.expect(await scene.ingest(), 4, there);
  delete scene.api.options.hook;
  assertProof(await scene.ingestAll(), 'api-end');
});

void test('a first page that says that it failed, as no later one does, ends the job with 4', async (t) => {
  const hook: PageHook = ({ usual }) =>
    usual.first === 0 ? { body: { ...usual.body, data: EVENTS.slice(10, usual.end), success: false } } : undefined;
  const scene = await ScriptedScene.open(t, { events: EVENTS, shape: 'doc', maxPage: MAX_PAGE, hook });
  await scene.expect(await scene.ingest(), 4, EVENTS.slice(10));
});

void test('words of a failure on every page are a habit of the API', async (t) => {
  const hook: PageHook = ({ usual }) => ({ body: { ...usual.body, success: false } });
  for (const shape of ['doc', 'live'] as const) {
    const scene = await ScriptedScene.open(t, { events: EVENTS, shape, maxPage: MAX_PAGE, hook });
    await scene.ingestAll();
  }
});

void test('words of a failure on every page of a later run are none of its habits: its first run had none', async (t) => {
  const scene = await ScriptedScene.open(t, { events: EVENTS, shape: 'doc', maxPage: 1_000 });
  await scene.ingestAll(FEW_PAGES);
  scene.api.options.events = [...newerEvents(400), ...EVENTS];
  scene.api.options.hook = ({ usual }) => ({
    body: {
      ...usual.body,
      partial: true,
      data: scene.api.options.events.slice(usual.first, usual.end).filter((_, at) => at % 2 === 1),
    },
  });
  const ending = await scene.ingest(FEW_PAGES);
  assert.equal(ending.code, 4, tailOf(ending));
  delete scene.api.options.hook;
  await scene.ingestAll(FEW_PAGES);
});

void test('pages that all had words of a failure are doubtful when another process meets one without', async (t) => {
  const scene = await ScriptedScene.open(t, { events: EVENTS, shape: 'doc', maxPage: MAX_PAGE });
  scene.api.options.hook = ({ usual }) => ({ body: partOf(usual, { partial: true }) });
  const stopped = await scene.stopAt(({ usual }) => usual.first > 1_000);
  assert.equal(stopped.code, 143, tailOf(stopped));
  delete scene.api.options.hook;
  await scene.ingest(FEW_PAGES);
  await scene.ingestAll(FEW_PAGES);
});

void test('words of a failure that an API gives up are no reason to doubt a new run', async (t) => {
  const hook: PageHook = ({ usual }) => ({ body: { ...usual.body, success: false } });
  const scene = await ScriptedScene.open(t, { events: EVENTS, shape: 'doc', maxPage: MAX_PAGE, hook });
  await scene.ingestAll();
  delete scene.api.options.hook;
  await scene.ingestAll(['--full']);
});

void test('an API that filters what its pages are made of may serve many empty ones with new cursors', async (t) => {
  let empty = 0;
  const hook: PageHook = ({ cursor, usual }) => {
    if (usual.first !== 400 || empty >= 30) return undefined;
    empty += 1;
    const left = { left: EVENTS.length - 400, skip: empty };
    const nextCursor = Buffer.from(JSON.stringify(left)).toString('base64');
    return cursor === null ? undefined : { body: { data: [], hasMore: true, nextCursor } };
  };
  const scene = await ScriptedScene.open(t, { events: EVENTS, shape: 'doc', maxPage: MAX_PAGE, hook });
  await scene.ingestAll();
});

void test('an API that cuts bounds to whole seconds loses no event between two windows', async (t) => {
  const events = eventsUpTo(6_000, (n) => ({ timestamp: NEWEST_MS - n * 97 }));
  const options = { events, shape: 'doc', maxPage: 100, untilGrainMs: 1_000 } as const;
  const scene = await ScriptedScene.open(t, options);
  await scene.ingestAll(['--concurrency', '4']);
});
