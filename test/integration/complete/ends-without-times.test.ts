/** Where nothing can be asked by time, the end of a list is asked about by cursors: the one beside it, and the one of the page before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toCursor, type PageHook } from '../../support/scripted-api.ts';
import { eventsUpTo } from '../../support/scripted-events.ts';
import { assertProof, ScriptedScene, tailOf } from '../../support/scripted-scene.ts';

const EVENTS = eventsUpTo(950).toSorted((one, two) => (String(one.id) < String(two.id) ? -1 : 1));
const PAGES = 10;
const OPTIONS = { events: EVENTS, shape: 'doc', maxPage: 100, hasStream: false } as const;
/** Asked for beside the pages, at most. */
const MAX_QUESTIONS = 6;

/** The first cursor that leads to event 500 never leads anywhere. */
function deadEnd(): PageHook {
  let dead: string | null = null;
  return ({ cursor, usual }) => {
    if (usual.first === 500 && cursor !== null) dead ??= cursor;
    if (cursor === null || cursor !== dead) return undefined;
    return { body: { data: [], hasMore: false, nextCursor: null } };
  };
}

const untold: PageHook = ({ usual: { body, isLast } }) => {
  const { data, nextCursor } = body;
  return { body: isLast ? { data } : { data, nextCursor } };
};

/** Where nothing is left. */
const BEHIND = toCursor({ left: 0 });

/** A queue: behind its end it has no events, and the same cursor again. */
const queue: PageHook = ({ usual: { body } }) => ({
  body: { data: body['data'], nextCursor: body['nextCursor'] ?? BEHIND },
});

/** The last page has a cursor, too. @param leadsTo what that is answered with */
function cursorBesideEnd(leadsTo: PageHook): PageHook {
  return (request) => {
    if (request.cursor === BEHIND) return leadsTo(request);
    const { body, isLast } = request.usual;
    return isLast ? { body: { ...body, nextCursor: BEHIND } } : undefined;
  };
}

const endAgain = { data: EVENTS.slice(900), hasMore: false, nextCursor: toCursor({ left: -1 }) };

const LISTS: readonly (readonly [string, PageHook])[] = [
  [
    'every page says that nothing follows, and has a cursor',
    ({ usual }) => ({ body: { ...usual.body, hasMore: false } }),
  ],
  ['a cursor is answered with an empty last page', deadEnd()],
  ['the last page has no word for it, and there is no flag', untold],
  ['the end is an empty page with the cursor that was asked for', queue],
  ['a cursor beside the end is refused', cursorBesideEnd(() => ({ status: 400, body: { code: 'CURSOR_INVALID' } }))],
  ['a cursor beside the end brings nothing', cursorBesideEnd(() => ({ body: { data: [], hasMore: false } }))],
  ['a cursor beside the end brings the end again', cursorBesideEnd(() => ({ body: endAgain }))],
];

for (const [name, hook] of LISTS) {
  void test(`a list without times is walked to its end: ${name}`, async (t) => {
    const scene = await ScriptedScene.open(t, { ...OPTIONS, hook });
    const ending = await scene.ingestAll(['--page-size', '100']);
    assertProof(ending, 'api-end');
    assert.equal(ending.proof?.places, EVENTS.length, tailOf(ending));
    assert.ok(scene.api.pageRequests <= PAGES + MAX_QUESTIONS, `${scene.api.pageRequests} requests`);
  });
}
