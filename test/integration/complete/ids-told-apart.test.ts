/** Two ids are one id when their bytes are the same, and in no other case: not shortened, not without case, not when empty. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toCursor, type PageHook } from '../../support/scripted-api.ts';
import { eventNumber, eventsUpTo, uuidFrom, type ScriptedEvent } from '../../support/scripted-events.ts';
import { makeOurTable } from '../../support/our-table.ts';
import { ScriptedScene, assertProof } from '../../support/scripted-scene.ts';

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
