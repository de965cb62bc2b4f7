/** An id is stored as the text that came, whatever the pages before it made the job believe about the type of ids. */
import { test } from 'node:test';
import { toCursor, type PageHook } from '../../support/scripted-api.ts';
import { eventsUpTo, uuidFrom, type ScriptedEvent } from '../../support/scripted-events.ts';
import { ScriptedScene, assertProof } from '../../support/scripted-scene.ts';

const COUNT = 2_000;
const MAX_PAGE = 200;

/** The first answer has no events and says that there are more. */
function firstPageEmpty(): PageHook {
  return ({ number, usual }) => {
    if (number > 1) return undefined;
    const nextCursor = toCursor({ left: COUNT });
    if ('meta' in usual.body) {
      return { body: { data: [], pagination: { limit: MAX_PAGE, hasMore: true, nextCursor }, meta: { total: COUNT } } };
    }
    return { body: { data: [], hasMore: true, nextCursor } };
  };
}

function textIds(length: number): ScriptedEvent[] {
  return eventsUpTo(COUNT, (n) => ({ id: `evt-${String(n).padStart(length - 4, '0')}` }));
}

// 16 characters are as many bytes as a binary UUID; another length is refused by the server as a broken message.
for (const [length, shape] of [
  [16, 'live'],
  [16, 'doc'],
  [12, 'live'],
  [40, 'live'],
] as const) {
  void test(`text ids of ${length} characters behind an empty first page stay text (${shape} shape)`, async (t) => {
    const options = { events: textIds(length), shape, maxPage: MAX_PAGE, hook: firstPageEmpty() };
    const scene = await ScriptedScene.open(t, options);
    assertProof(await scene.ingestAll(), shape === 'doc' ? 'api-end' : 'count');
  });
}

void test('text ids behind an empty first page stay text in an empty table that an earlier start made', async (t) => {
  const scene = await ScriptedScene.open(t, { events: [], shape: 'doc', maxPage: MAX_PAGE });
  await scene.ingest();
  scene.api.options.events = textIds(16);
  scene.api.options.hook = firstPageEmptyAfter(scene.api.pageRequests);
  await scene.ingestAll(['--full']);
});

void test('text ids behind a page without a usable id stay text', async (t) => {
  // Few enough to be accepted without a word about the limit.
  const events = textIds(16).map((event, n) => (n < 20 ? { ...event, id: undefined } : event));
  const scene = await ScriptedScene.open(t, { events, maxPage: 20 });
  const ending = await scene.ingest(['--page-size', '20']);
  await scene.expect(ending, 0, events.slice(20));
  assertProof(ending, 'count');
});

void test('session ids that are text stay text beside ids that are UUIDs, behind an empty first page', async (t) => {
  const events = eventsUpTo(COUNT, (n) => ({ sessionId: `session-${String(n % 50).padStart(8, '0')}` }));
  const scene = await ScriptedScene.open(t, { events, maxPage: MAX_PAGE, hook: firstPageEmpty() });
  assertProof(await scene.ingestAll(), 'count');
  const { rows } = await scene.database.query<{ wrong: number }>(
    `SELECT count(*)::int AS wrong FROM ingested_events
      WHERE session_id::text IS DISTINCT FROM 'session-' || lpad(((properties->>'n')::int % 50)::text, 8, '0')`,
  );
  if (rows[0]?.wrong !== 0) throw new Error(`${rows[0]?.wrong ?? '?'} session ids were changed`);
});

void test('UUIDs behind an empty first page are UUIDs', async (t) => {
  const events = eventsUpTo(COUNT, (n) => ({ id: uuidFrom(`other ${n}`) }));
  const scene = await ScriptedScene.open(t, { events, maxPage: MAX_PAGE, hook: firstPageEmpty() });
  assertProof(await scene.ingestAll(), 'count');
});

function firstPageEmptyAfter(requests: number): PageHook {
  const hook = firstPageEmpty();
  return (request) => hook({ ...request, number: request.number - requests });
}
