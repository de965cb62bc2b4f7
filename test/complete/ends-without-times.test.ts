/** Where nothing can be asked by time, the end of a list is asked about by cursors: the one beside it, and the one of the page before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toCursor, type PageHook } from '../support/scripted-api.ts';
import { eventsUpTo } from '../support/scripted-events.ts';
import { assertProof, ScriptedScene, tailOf } from '../support/scripted-scene.ts';

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

const lying: PageHook = ({ usual }) => ({ body: { ...usual.body, hasMore: false } });

/** Every page says that nothing follows, and once a cursor is dead. */
function lyingAndStaleOnce(): PageHook {
  let isDone = false;
  return (request) => {
    if (isDone || request.cursor === null || request.usual.first < 400) return lying(request);
    isDone = true;
    return { status: 400, body: { code: 'CURSOR_EXPIRED', message: 'Cursor expired 1 minute(s) ago' } };
  };
}

/** Once a page is empty and the last; whoever looks at it from above gets half a page, which says that more follows. */
function emptyOnceAndShortBehind(): PageHook {
  let isDone = false;
  return ({ cursor, usual: { first, body } }) => {
    if (isDone || cursor === null) return undefined;
    if (first === 475) {
      isDone = true;
      return { body: { data: EVENTS.slice(475, 500), hasMore: true, nextCursor: toCursor({ left: 450 }) } };
    }
    return first === 500 ? { body: { ...body, data: [], hasMore: false, nextCursor: null } } : undefined;
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
  ['every page says that nothing follows, and has a cursor', lying],
  ['the same, and a cursor is dead once', lyingAndStaleOnce()],
  ['a page is empty once, and a look at it from above is told that more follows', emptyOnceAndShortBehind()],
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

const BY_TIME = eventsUpTo(950);
/** Half of the list. */
const UNTIL = ['--until', String(BY_TIME[475]?.timestamp), '--page-size', '100'];

void test('a run with --until does not end where every cursor leads to an empty page, and the API counts more', async (t) => {
  const hook: PageHook = ({ cursor, usual: { body, first } }) =>
    cursor === null || first < 300 ? undefined : { body: { ...body, data: [], pagination: { hasMore: false } } };
  const scene = await ScriptedScene.open(t, { ...OPTIONS, events: BY_TIME, shape: 'live', hook });
  const ending = await scene.ingest(UNTIL);
  assert.equal(ending.code, 4, tailOf(ending));
});

void test('a run with --until ends with an empty page behind everything that the API counts', async (t) => {
  const scene = await ScriptedScene.open(t, { ...OPTIONS, events: BY_TIME, shape: 'live', endsWithEmptyPage: true });
  const ending = await scene.ingest(UNTIL);
  assertProof(ending, 'api-end');
});
