/** A cursor from an earlier start may be dead, and an API need not say so: where nothing can be asked by time, the list is begun anew. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toCursor, type PageHook, type ScriptedAnswer } from '../support/scripted-api.ts';
import { eventsUpTo } from '../support/scripted-events.ts';
import { ScriptedScene, tailOf, warnings } from '../support/scripted-scene.ts';

const EVENTS = eventsUpTo(1_500).toSorted((one, two) => (String(one.id) < String(two.id) ? -1 : 1));
const MAX_PAGE = 100;
const OPTIONS = { events: EVENTS, shape: 'doc', maxPage: MAX_PAGE, hasStream: false } as const;

const ANSWERS: readonly (readonly [string, ScriptedAnswer])[] = [
  ['an empty last page', { body: { data: [], hasMore: false, nextCursor: null } }],
  ['418', { status: 418, body: {} }],
  [
    'the first page of the list',
    {
      body: {
        data: EVENTS.slice(0, MAX_PAGE),
        hasMore: true,
        nextCursor: toCursor({ left: EVENTS.length - MAX_PAGE }),
      },
    },
  ],
];

for (const [name, answer] of ANSWERS) {
  void test(`the next start begins anew where ${name} is the answer to the cursor it was left`, async (t) => {
    const scene = await ScriptedScene.open(t, OPTIONS);
    const stopped = await scene.stopAt(({ usual }) => usual.first === 700, ['--page-size', String(MAX_PAGE)]);
    assert.equal(stopped.code, 143, tailOf(stopped));
    const { rows } = await scene.database.query<{ cursor: string }>('SELECT cursor FROM ingestion.state');
    const hook: PageHook = ({ cursor }) => (cursor === rows[0]?.cursor ? answer : undefined);
    scene.api.options.hook = hook;
    const ending = await scene.ingestAll(['--page-size', String(MAX_PAGE)]);
    assert.equal(warnings(ending, /walking from the top/).length, 1, tailOf(ending));
  });
}

void test('where one cursor always leads to the first page, the next start goes around it', async (t) => {
  const events = EVENTS.slice(0, 600);
  const scene = await ScriptedScene.open(t, { ...OPTIONS, events, hasOffsetCursor: true });
  const first = { data: events.slice(0, MAX_PAGE), hasMore: true, nextCursor: toCursor({ served: MAX_PAGE }) };
  scene.api.options.hook = ({ cursor }) => (cursor === toCursor({ served: 300 }) ? { body: first } : undefined);
  const astray = await scene.ingest(['--page-size', String(MAX_PAGE)]);
  assert.equal(astray.code, 4, tailOf(astray));
  await scene.ingestAll(['--page-size', String(MAX_PAGE)]);
});

void test('a walk for what is new, without bounds, that another process goes on with below that ends with the list', async (t) => {
  const options = {
    events: eventsUpTo(21),
    shape: 'doc',
    maxPage: 5,
    hasStream: false,
    endsWithEmptyPage: true,
  } as const;
  const scene = await ScriptedScene.open(t, options);
  let begun = 0;
  const stopped = await scene.stopAt(({ cursor, usual: { first } }) => {
    if (cursor === null) begun += 1;
    return begun === 2 && first === 15;
  });
  assert.equal(stopped.code, 143, tailOf(stopped));
  await scene.ingestAll();
});

void test('an empty last page behind a cursor of this process is an end, and the list is walked once', async (t) => {
  const scene = await ScriptedScene.open(t, { ...OPTIONS, endsWithEmptyPage: true });
  await scene.ingestAll(['--page-size', String(MAX_PAGE)]);
  // 16 pages, and the last is asked for three times.
  assert.ok(scene.api.pageRequests < 22, `${scene.api.pageRequests} requests`);
});
