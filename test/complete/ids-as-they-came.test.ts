/** An id is stored as the text that came, and two ids are one id when their bytes are the same, and in no other case. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeOurTable } from '../support/our-table.ts';
import { toCursor, type PageHook } from '../support/scripted-api.ts';
import { eventNumber, eventsUpTo, uuidFrom, type ScriptedEvent } from '../support/scripted-events.ts';
import { assertProof, ScriptedScene } from '../support/scripted-scene.ts';

void test('long ids that share their first 211 characters are different events, and progress', async (t) => {
  const events = eventsUpTo(3_000, (n) => ({ id: `${'x'.repeat(211)}${String(n).padStart(20, '0')}` }));
  const scene = await ScriptedScene.open(t, { events, maxPage: 200 });
  assertProof(await scene.ingestAll(), 'count');
});

for (const [place, id, name] of [
  [0, '', 'an empty id'],
  [99, '', 'an empty id'],
  [99, null, 'no id'],
] as const) {
  void test(`pages whose event ${place} has ${name} are progress, and only that event is rejected`, async (t) => {
    const events = eventsUpTo(3_000, (n) => (n % 100 === place ? { id } : {}));
    const scene = await ScriptedScene.open(t, { events, maxPage: 100 });
    const ending = await scene.ingest(['--page-size', '100']);
    await scene.expect(
      ending,
      0,
      events.filter((event) => event['id'] !== id),
    );
    assertProof(ending, 'count');
    assert.deepEqual(Object.values(await scene.rejected()), [30]);
  });
}

void test('one id seven times in a row, one event a page, is progress', async (t) => {
  const events = eventsUpTo(40, (n) => (n >= 10 && n < 17 ? { id: uuidFrom('event 10') } : {}));
  for (const shape of ['live', 'doc'] as const) {
    const scene = await ScriptedScene.open(t, { events, shape });
    assertProof(await scene.ingestAll(['--page-size', '1']), shape === 'live' ? 'count' : 'api-end');
  }
});

void test('an API that serves one page again and again still ends the job with 4', async (t) => {
  const hook: PageHook = ({ usual }) => {
    if (usual.end <= 400) return undefined;
    const nextCursor = toCursor({ left: 600 });
    return { body: { data: eventsUpTo(400).slice(200), hasMore: true, nextCursor } };
  };
  const events = eventsUpTo(1_000);
  const scene = await ScriptedScene.open(t, { events, shape: 'doc', maxPage: 200, hook });
  const ending = await scene.ingest(['--max-wait', '3']);
  await scene.expect(ending, 4, events.slice(0, 400));
});

const NONDETERMINISTIC = `CREATE COLLATION ignores_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`;
const twins = (): ScriptedEvent[] =>
  Array.from({ length: 1_000 }, (_, n) => eventNumber(n, { id: `${n % 2 === 0 ? 'id' : 'ID'}${Math.floor(n / 2)}` }));

void test('an id column that calls different ids equal is refused with 2 and its name, and nothing is changed', async (t) => {
  const scene = await ScriptedScene.open(t, { events: twins(), maxPage: 200 });
  const icu = await scene.count(`SELECT count(*) FROM pg_collation WHERE collprovider = 'i'`);
  assert.ok(icu > 0, 'this PostgreSQL was built without ICU: the test cannot say anything');
  await scene.database.query(NONDETERMINISTIC);
  await makeOurTable(scene.database, { idType: 'text COLLATE ignores_case' });
  const ending = await scene.ingest();
  await scene.expect(ending, 2, []);
  assert.match(ending.reason, /\bid\b.*ignores_case|ignores_case.*\bid\b/s);
  assert.equal(await scene.count(`SELECT count(*) FROM pg_namespace WHERE nspname = 'ingestion'`), 0);
});

void test('a collation that calls no two ids equal is no reason to refuse', async (t) => {
  const scene = await ScriptedScene.open(t, { events: twins(), maxPage: 200 });
  await scene.database.query(`CREATE COLLATION by_rules (provider = icu, locale = 'und-u-ks-level2')`);
  await makeOurTable(scene.database, { idType: 'text COLLATE by_rules' });
  assertProof(await scene.ingestAll(), 'count');
});

void test('a session column that calls different texts equal changes no value', async (t) => {
  const events = eventsUpTo(400, (n) => ({ sessionId: n % 2 === 0 ? 'session' : 'SESSION' }));
  const scene = await ScriptedScene.open(t, { events, maxPage: 200 });
  await scene.database.query(NONDETERMINISTIC);
  await makeOurTable(scene.database);
  await scene.database.query('ALTER TABLE ingested_events ALTER session_id TYPE text COLLATE ignores_case');
  assertProof(await scene.ingestAll(), 'count');
  const upper = `SELECT count(*) FROM ingested_events WHERE session_id COLLATE "C" = 'SESSION'`;
  assert.equal(await scene.count(upper), 200);
});

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

void test('ids that are one UUID in several spellings are rows of their own, or told as anomalies with their bytes', async (t) => {
  const spell = [(id: string) => id, (id: string) => `{${id}}`, (id: string) => id.toUpperCase()];
  const events = eventsUpTo(600, (n) => ({ id: spell[n % 3]?.(uuidFrom(`event ${n - (n % 3)}`)) }));
  const asText = await ScriptedScene.open(t, { events, maxPage: 200 });
  assertProof(await asText.ingestAll(['--id-type', 'text']), 'count');
  const asUuid = await ScriptedScene.open(t, { events, maxPage: 200 });
  assertProof(await asUuid.ingest(['--id-type', 'uuid']), 'count');
  const told = `SELECT count(DISTINCT original) FROM ingestion.anomaly WHERE reason = 'uuid-in-another-spelling'`;
  assert.deepEqual([await asUuid.count('SELECT count(*) FROM ingested_events'), await asUuid.count(told)], [200, 400]);
});
