/** What a complete run is proven by: a count, or the growth of one, where the API gives one that can be trusted, else the API's own end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PageHook, type UsualPage } from '../support/scripted-api.ts';
import { eventNumber, eventsUpTo, newerEvents, NEWEST_MS, newestFirst, uuidFrom } from '../support/scripted-events.ts';
import { assertProof, ScriptedScene, tailOf, warnings } from '../support/scripted-scene.ts';

const COUNT = 2_000;
const SINCE = ['--since', String(NEWEST_MS - 86_400_000)];

/** Every answer says that it comes from a cache. */
const cached: PageHook = ({ usual }) => ({ body: usual.body, headers: { 'x-cache': 'HIT', 'x-cache-ttl': '30' } });

for (const [name, shape, flags, proof] of [
  ['a total that agrees', 'live', [], 'count'],
  ['a total that agrees, and several windows', 'live', ['--concurrency', '4', '--page-size', '100'], 'count'],
  ['no total', 'doc', [], 'api-end'],
  ['a limit, of which the total knows nothing', 'live', SINCE, 'api-end'],
] as const) {
  void test(`a run, its status and verify say what it is proven by: ${name}`, async (t) => {
    const scene = await ScriptedScene.open(t, { events: eventsUpTo(COUNT), shape, maxPage: 200 });
    const ending = await scene.ingestAll(flags);
    assertProof(ending, proof);
    const { proof: stored } = await scene.runStatus();
    assert.deepEqual(stored, ending.proof);
    const { kind, places, expected } = ending.proof ?? {};
    assert.deepEqual(
      { kind, places, expected },
      { kind: proof, places: COUNT, expected: proof === 'count' ? COUNT : null },
    );
    const verified = await scene.command('verify');
    assert.equal(verified.code, 0, verified.stderr);
    // What it cannot know, it does not say.
    assert.equal(/nothing is missing/.test(verified.stdout), proof === 'count', verified.stdout);
  });
}

void test('more places than the total are no count: the line gives both figures', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(COUNT), total: COUNT - 50 });
  const ending = await scene.ingestAll();
  assertProof(ending, 'api-end');
  assert.match(ending.proof?.sentence ?? '', /\b2,?000\b/);
  assert.match(ending.proof?.sentence ?? '', /\b1,?950\b/);
});

void test('fewer places than the total end with 5 and both figures, and stay so until the API agrees', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(COUNT), total: COUNT + 12, maxPage: 200 });
  const short = await scene.ingest();
  await scene.expect(short, 5, scene.api.options.events);
  assert.match(short.reason, /\b2,?012\b.*\b2,?000\b|\b2,?000\b.*\b2,?012\b/s);
  delete scene.api.options.total;
  assertProof(await scene.ingestAll(), 'count');
});

void test('a total from a cached answer neither proves nor refutes anything', async (t) => {
  for (const total of [COUNT, COUNT + 12]) {
    const scene = await ScriptedScene.open(t, { events: eventsUpTo(COUNT), total, maxPage: 200, hook: cached });
    const ending = await scene.ingestAll();
    assertProof(ending, 'api-end');
    assert.ok(warnings(ending, /out of a cache/).length > 0, tailOf(ending));
  }
});

/** A cache that answers for ever what it has answered before. @param headers how it says that */
function cacheInFront(headers: Readonly<Record<string, string>>): PageHook {
  const kept = new Map<string, unknown>();
  return ({ query, usual }) => {
    const body = kept.get(query.toString());
    if (body !== undefined) return { body, headers };
    kept.set(query.toString(), usual.body);
    return undefined;
  };
}

void test('what came since a cache has kept the first page is in the run, however the cache says that it answered', async (t) => {
  for (const headers of [{ age: '25' }, { 'x-cache': 'HIT' }]) {
    const scene = await ScriptedScene.open(t, { events: eventsUpTo(400), maxPage: 200, hook: cacheInFront(headers) });
    await scene.ingestAll();
    await scene.ingestAll();
    scene.api.options.events = [...newerEvents(50), ...eventsUpTo(400)];
    assertProof(await scene.ingestAll(), 'count');
  }
});

void test('rows of the table that nobody served stand in for no event', async (t) => {
  const scene = await ScriptedScene.open(t, { events: [], shape: 'live' });
  await scene.ingest();
  await scene.database.query(
    `INSERT INTO ingested_events (id, name) SELECT gen_random_uuid(), 'by hand' FROM generate_series(1, 12)`,
  );
  scene.api.options.events = eventsUpTo(500);
  scene.api.options.total = 512;
  const ending = await scene.ingest();
  assert.equal(ending.code, 5, tailOf(ending));
});

void test('a page that once left out events is found by the count, and walked again', async (t) => {
  let isDone = false;
  const hook: PageHook = ({ usual }) => {
    const { data, ...envelope } = usual.body;
    if (isDone || usual.first < 1_000 || !Array.isArray(data)) return undefined;
    isDone = true;
    return { body: { data: data.slice(20) as unknown[], ...envelope } };
  };
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(COUNT), maxPage: 200, hook });
  assertProof(await scene.ingestAll(), 'count');
});

void test('events that arrive during a run are taken and counted', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(COUNT), maxPage: 200 });
  scene.api.options.hook = ({ usual }) => {
    if (usual.first === 1_000) scene.api.options.events = [...newerEvents(300), ...eventsUpTo(COUNT)];
    return undefined;
  };
  assertProof(await scene.ingestAll(), 'count');
});

const LOOKBACK = ['--lookback', '60'];

/** A complete run over the API's first events. */
async function afterFirstRun(scene: ScriptedScene): Promise<void> {
  scene.api.options.events = eventsUpTo(COUNT);
  assertProof(await scene.ingestAll(LOOKBACK), 'count');
}

void test('an incremental run is proven by the growth of the total, and finds events below its floor by which that grew', async (t) => {
  const scene = await ScriptedScene.open(t, { events: [], maxPage: 200 });
  await afterFirstRun(scene);
  const newer = [...newerEvents(500), ...eventsUpTo(COUNT)];
  for (let start = 1; start <= 2; start += 1) {
    scene.api.options.events = newer;
    assertProof(await scene.ingestAll(LOOKBACK), 'count');
  }
  const late = Array.from({ length: 20 }, (_, k) => eventNumber(1_500 + k, { id: uuidFrom(`late ${k}`) }));
  scene.api.options.events = newestFirst([...newerEvents(600), ...eventsUpTo(COUNT), ...late]);
  assertProof(await scene.ingestAll(LOOKBACK), 'count');
});

void test('an incremental run over an API that has deleted old events is complete, and not proven by a count', async (t) => {
  const scene = await ScriptedScene.open(t, { events: [], maxPage: 200 });
  await afterFirstRun(scene);
  const newer = newerEvents(300);
  scene.api.options.events = [...newer, ...eventsUpTo(COUNT - 500)];
  const ending = await scene.ingest(LOOKBACK);
  await scene.expect(ending, 0, [...newer, ...eventsUpTo(COUNT)]);
  assertProof(ending, 'api-end');
});

for (const [name, changes, flags] of [
  ['as it is', {}, []],
  ['and one of its events has no id', { id: null }, []],
  ['and has one id twice, and fewer rows are accepted', { id: uuidFrom('event 10005') }, ['--accept-fewer-rows']],
] as const) {
  void test(`an API that has another list behind its address is walked in full, though it counts fewer events than before: ${name}`, async (t) => {
    for (const shape of ['live', 'doc'] as const) {
      const scene = await ScriptedScene.open(t, { events: eventsUpTo(400), shape, maxPage: 200 });
      await scene.ingestAll(LOOKBACK);
      const others = eventsUpTo(300).map((_, n) =>
        eventNumber(n + 10_000, { timestamp: NEWEST_MS - n * 1_000 - 500, ...(n === 10 ? changes : {}) }),
      );
      scene.api.options.events = others;
      const rows = others.filter(({ id }) => id !== null);
      await scene.expect(await scene.ingest([...LOOKBACK, ...flags]), 0, [...rows, ...eventsUpTo(400)]);
    }
  });
}

void test('a rejected event that is served again to each run is no other list', async (t) => {
  const events = eventsUpTo(400, (n) => (n < 3 ? { id: null } : {}));
  const scene = await ScriptedScene.open(t, { events, shape: 'doc', maxPage: 200 });
  await scene.ingest(['--lookback', '0']);
  scene.api.options.events = [...newerEvents(1), ...events];
  assert.deepEqual(warnings(await scene.ingest(['--lookback', '0']), /another list/), []);
});

void test('an incremental run with another lookback is complete, and not proven by a count', async (t) => {
  const scene = await ScriptedScene.open(t, { events: [], maxPage: 200 });
  await afterFirstRun(scene);
  scene.api.options.events = [...newerEvents(300), ...eventsUpTo(COUNT)];
  assertProof(await scene.ingestAll(['--lookback', '120']), 'api-end');
});

void test('rows deleted below the floor of an incremental run are not made up for by its count', async (t) => {
  const scene = await ScriptedScene.open(t, { events: [], maxPage: 200 });
  await afterFirstRun(scene);
  await scene.database.query('DELETE FROM ingested_events WHERE id = $1', [uuidFrom('event 1800')]);
  scene.api.options.events = [...newerEvents(300), ...eventsUpTo(COUNT)];
  const ending = await scene.ingest(LOOKBACK);
  assert.equal(ending.code, 5, tailOf(ending));
});

/** A body with another total, or none, in `meta`. */
function withTotal({ body }: UsualPage, total: number | undefined): Readonly<Record<string, unknown>> {
  return { ...body, meta: { total } };
}

/** A page that says that it is the last one, and is not. */
function cutShort({ body }: UsualPage): Readonly<Record<string, unknown>> {
  return { ...body, pagination: { hasMore: false, nextCursor: null } };
}

void test('a count that only the first pass was given still shows that events are missing', async (t) => {
  let isDone = false;
  const hook: PageHook = ({ usual, query }) => {
    if (query.has('since')) return { body: withTotal(usual, undefined) };
    if (isDone || usual.first !== 600) return undefined;
    isDone = true;
    return { body: cutShort(usual) };
  };
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(COUNT), maxPage: 200, hook });
  assertProof(await scene.ingestAll(), 'count');
});

void test('a count that only the first pass was given proves nothing: what came since may stand in for what is missing', async (t) => {
  const hook: PageHook = ({ usual, query }) => (query.has('since') ? { body: withTotal(usual, undefined) } : undefined);
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(COUNT), maxPage: 200, hook });
  assertProof(await scene.ingestAll(), 'api-end');
});

void test('one answer alone that counts fewer events is not believed', async (t) => {
  const hook: PageHook = ({ usual, query }) => {
    if (query.get('limit') === '2') return { body: withTotal(usual, 3) };
    return usual.first >= 500 ? { body: cutShort(usual) } : undefined;
  };
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(COUNT), maxPage: 200, hook });
  const ending = await scene.ingest();
  assert.equal(ending.code, 5, tailOf(ending));
});

void test('events that were deleted while everything was walked again are no loss', async (t) => {
  let walks = 0;
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(COUNT), total: COUNT + 12, maxPage: 200 });
  scene.api.options.hook = ({ usual, query }) => {
    if (!query.has('cursor') && !query.has('since') && !query.has('until')) walks += 1;
    if (walks === 2 && usual.first >= 500) scene.api.options.total = COUNT;
    // A cache has what was asked for before.
    return query.get('limit') === '2' ? { body: usual.body, headers: { 'x-cache': 'HIT' } } : undefined;
  };
  const ending = await scene.ingestAll();
  assertProof(ending, 'api-end');
  assert.match(ending.proof?.sentence ?? '', /events were deleted meanwhile/);
});

void test('where the total is that of what is asked for, an incremental run is held against the list’s own, and so is verify', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(COUNT), maxPage: 200 });
  scene.api.options.hook = ({ query, usual: { body } }) => {
    const since = Number(query.get('since') ?? -Infinity);
    const until = Number(query.get('until') ?? Infinity);
    const isAsked = (timestamp: unknown): boolean => Number(timestamp) >= since && Number(timestamp) <= until;
    const total = scene.api.options.events.filter(({ timestamp }) => isAsked(timestamp)).length;
    return { body: { ...body, meta: { total } } };
  };
  const flags = ['--lookback', '60'];
  assertProof(await scene.ingestAll(flags), 'count');
  for (const newer of [20, 20, 25]) {
    scene.api.options.events = [...newerEvents(newer), ...eventsUpTo(COUNT)];
    assertProof(await scene.ingestAll(flags), 'count');
    const verified = await scene.command('verify');
    assert.equal(verified.code, 0, verified.stderr);
  }
});
