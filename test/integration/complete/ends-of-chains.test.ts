/** Only the API's own word on a page that is a page ends a chain: an error, a missing flag or a 418 does not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PageHook, ScriptedAnswer, UsualPage } from '../../support/scripted-api.ts';
import { NEWEST_MS, eventsUpTo } from '../../support/scripted-events.ts';
import { ScriptedScene, assertProof } from '../../support/scripted-scene.ts';

const EVENTS = eventsUpTo(3_000);
const MAX_PAGE = 200;
/** Page 6 of one chain would begin here. */
const ODD_FROM = 5 * MAX_PAGE;
/** Below every event: all are taken, and the run is limited, so no total is held against it. */
const SINCE = ['--since', String(NEWEST_MS - 3_600_000)];

type Odd = (usual: UsualPage) => ScriptedAnswer;

/** A page without its envelope's words about what comes next. */
const withoutFlag: Odd = ({ body }) => ({ body: { data: body['data'] } });

const ODD_ANSWERS: Readonly<Record<string, Odd>> = {
  'an error code beside an empty list': () => ({
    body: { data: [], code: 'UPSTREAM_TIMEOUT', message: 'upstream timed out' },
  }),
  'an error code, an empty list and "hasMore": false': () => ({
    body: { data: [], hasMore: false, nextCursor: null, code: 'UPSTREAM_TIMEOUT', message: 'upstream timed out' },
  }),
  '"success": false': () => ({ body: { success: false, data: [] } }),
  '"statusCode": 500': () => ({ body: { statusCode: 500, data: [] } }),
  'an empty list and nothing else': () => ({ body: { data: [] } }),
  'a page of events without a flag': withoutFlag,
  'status 418': () => ({ status: 418, body: { code: 'OUT_OF_RANGE' } }),
};

const APIS = [
  { name: 'doc shape', shape: 'doc', flags: [] },
  { name: 'live shape with --since', shape: 'live', flags: SINCE },
] as const;

/** The first request with a cursor that reaches so far down gets the odd answer. */
function onceOdd(odd: Odd): PageHook {
  let isDone = false;
  return ({ cursor, usual }) => {
    if (isDone || cursor === null || usual.first < ODD_FROM) return undefined;
    isDone = true;
    return odd(usual);
  };
}

/** No request reaches further down, whatever it asks by. */
function alwaysOdd(odd: Odd): PageHook {
  return ({ usual }) => (usual.end > ODD_FROM ? odd(usual) : undefined);
}

for (const [name, odd] of Object.entries(ODD_ANSWERS)) {
  for (const api of APIS) {
    void test(`${name}, once in the middle of a chain (${api.name}), ends nothing: every event is a row`, async (t) => {
      const options = { events: EVENTS, shape: api.shape, maxPage: MAX_PAGE, hook: onceOdd(odd) };
      const scene = await ScriptedScene.open(t, options);
      assertProof(await scene.ingestAll(api.flags), 'api-end');
    });
  }
}

void test('an odd answer to one of several windows ends no window', async (t) => {
  for (const odd of [ODD_ANSWERS['status 418'], ODD_ANSWERS['"success": false']]) {
    assert.ok(odd !== undefined);
    const options = { events: EVENTS, shape: 'doc', maxPage: 50, hook: onceOdd(odd) } as const;
    const scene = await ScriptedScene.open(t, options);
    await scene.ingestAll(['--concurrency', '4']);
  }
});

for (const name of ['an error code beside an empty list', '"success": false', 'status 418']) {
  for (const api of APIS) {
    void test(`${name} that stays (${api.name}) ends the job with 4, never with 0`, async (t) => {
      const odd = ODD_ANSWERS[name];
      assert.ok(odd !== undefined);
      const options = { events: EVENTS, shape: api.shape, maxPage: MAX_PAGE, hook: alwaysOdd(odd) };
      const scene = await ScriptedScene.open(t, options);
      const ending = await scene.ingest([...api.flags, '--max-wait', '3']);
      await scene.expect(ending, 4, EVENTS.slice(0, ODD_FROM));
    });
  }
}

void test('418 to the request by time that replaces a dead cursor is no end: the event at that time exists', async (t) => {
  let dead = 0;
  let outside = 0;
  const hook: PageHook = ({ cursor, query, usual }) => {
    if (cursor !== null && usual.first >= ODD_FROM && dead === 0) {
      dead += 1;
      return { status: 400, body: { code: 'CURSOR_EXPIRED', message: 'Cursor expired 1 minute(s) ago' } };
    }
    if (cursor === null && query.has('until') && outside === 0) {
      outside += 1;
      return { status: 418, body: { code: 'OUT_OF_RANGE' } };
    }
    return undefined;
  };
  for (const { shape, flags } of APIS) {
    dead = 0;
    outside = 0;
    const scene = await ScriptedScene.open(t, { events: EVENTS, shape, maxPage: MAX_PAGE, hook });
    assertProof(await scene.ingestAll(flags), 'api-end');
    assert.deepEqual({ dead, outside }, { dead: 1, outside: 1 });
  }
});

void test('an empty last page with "hasMore": false is an end', async (t) => {
  for (const { shape, flags } of APIS) {
    const options = { events: EVENTS, shape, maxPage: MAX_PAGE, endsWithEmptyPage: true };
    const scene = await ScriptedScene.open(t, options);
    assertProof(await scene.ingestAll(flags), 'api-end');
  }
});

void test('a last page that never has a flag ends the chain where the count agrees', async (t) => {
  const hook: PageHook = ({ usual }) => {
    const { data, meta } = usual.body;
    return usual.isLast && usual.end === EVENTS.length ? { body: { data, meta } } : undefined;
  };
  const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: MAX_PAGE, hook });
  assertProof(await scene.ingestAll(), 'count');
});

void test('a last page that never has a flag ends the chain where a request by time brings nothing older', async (t) => {
  const hook: PageHook = ({ usual }) => (usual.isLast && usual.end === EVENTS.length ? withoutFlag(usual) : undefined);
  const scene = await ScriptedScene.open(t, { events: EVENTS, shape: 'doc', maxPage: MAX_PAGE, hook });
  assertProof(await scene.ingestAll(), 'api-end');
});
