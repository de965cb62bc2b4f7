/** Each place of the API's list counts once: whatever is served twice, refused or has an odd id hides no loss and makes none up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PageHook } from '../support/scripted-api.ts';
import {
  NEWEST_MS,
  eventNumber,
  eventsUpTo,
  newerEvents,
  uuidFrom,
  type ScriptedEvent,
} from '../support/scripted-events.ts';
import { ScriptedScene, assertProof, tailOf, warnings } from '../support/scripted-scene.ts';

/** The API never serves its newest event, and counts it. */
const LOST_PLACE = 0;
const withoutLost: PageHook = ({ usual }) => {
  const { data, ...envelope } = usual.body;
  if (usual.first !== LOST_PLACE || !Array.isArray(data)) return undefined;
  return { body: { data: data.slice(1) as unknown[], ...envelope } };
};

/** A run over 1,000 events; then a check refuses a changed event that has a row already. */
async function withRefusedTwin(scene: ScriptedScene): Promise<readonly ScriptedEvent[]> {
  const events = eventsUpTo(1_000);
  scene.api.options.events = events;
  await scene.ingestAll();
  await scene.database.query(
    `ALTER TABLE ingested_events ADD CONSTRAINT not_refused CHECK (name <> 'refused') NOT VALID`,
  );
  scene.api.options.events = events.map((event, n) => (n === 500 ? { ...event, name: 'refused' } : event));
  return events;
}

/** Where the first row is kept, the table is not asked about the changed event: it is a duplicate. Else the check refuses it. */
const MODES = ['ignore', 'update'] as const;

for (const mode of MODES) {
  const full = ['--full', '--on-conflict', mode];

  void test(`an event that a check refuses, whose id has a row already, hides no event that was never served (${mode})`, async (t) => {
    const scene = await ScriptedScene.open(t, { events: [] });
    const events = await withRefusedTwin(scene);
    scene.api.options.events = [...newerEvents(1), ...scene.api.options.events];
    scene.api.options.hook = withoutLost;
    const ending = await scene.ingest(full);
    await scene.expect(ending, 5, events);
    assert.match(ending.reason, /\b1001\b/, 'the count of the API');
    assert.match(ending.reason, /\b1000\b/, 'the places that were served');
  });

  void test(`an event that a check refuses, whose id has a row already, is no loss, and a deleted row is (${mode})`, async (t) => {
    const scene = await ScriptedScene.open(t, { events: [] });
    const events = await withRefusedTwin(scene);
    const ending = await scene.ingest(full);
    await scene.expect(ending, 0, events);
    await scene.database.query('DELETE FROM ingested_events WHERE id = $1', [uuidFrom('event 900')]);
    const checked = await scene.command('verify');
    assert.equal(checked.code, 5, checked.stderr);
    const rejected = Object.values(await scene.rejected());
    assert.deepEqual(rejected, mode === 'update' ? [1] : []);
    assertProof(ending, 'count');
  });
}

/** Ten ids that the API has, and counts, twice. @param apart places between the two servings of an id */
function withDoubledIds(apart: number, count = 3_000): ScriptedEvent[] {
  return eventsUpTo(count, (n) => {
    const first = n - apart;
    return first >= 0 && first < 1_000 && first % 100 === 7 ? { id: uuidFrom(`event ${first}`) } : {};
  });
}

const PACES = [
  { name: 'a fast API', latencyMs: 0, flags: [] },
  // The first merge of an empty table comes after four intervals: here between the two servings of an id.
  { name: 'a slow API and many merges', latencyMs: 400, flags: ['--merge-interval', '1'] },
  { name: 'four windows', latencyMs: 0, flags: ['--concurrency', '4', '--page-size', '100'] },
  {
    name: 'four slow windows',
    latencyMs: 300,
    flags: ['--concurrency', '4', '--page-size', '50', '--merge-interval', '1'],
  },
] as const;

for (const { name, latencyMs, flags } of PACES) {
  void test(`ids that the API has twice, far apart, are places of their own: ${name}`, async (t) => {
    const scene = await ScriptedScene.open(t, { events: withDoubledIds(1_500), latencyMs, maxPage: 200 });
    assertProof(await scene.ingestAll(flags), 'count');
  });
}

for (const apart of [1, 200]) {
  void test(`ids that the API has twice, ${apart} places apart, are places of their own`, async (t) => {
    const scene = await ScriptedScene.open(t, { events: withDoubledIds(apart), maxPage: 200 });
    assertProof(await scene.ingestAll(), 'count');
  });
}

void test('ids that the API has twice, 150 places apart, are places of their own in each run', async (t) => {
  const scene = await ScriptedScene.open(t, { events: withDoubledIds(150), maxPage: 200 });
  assertProof(await scene.ingestAll(), 'count');
  assertProof(await scene.ingestAll(['--full']), 'count');
});

void test('ids that the API has twice hide no event that was never served', async (t) => {
  for (const flags of [[], ['--concurrency', '4', '--page-size', '100']]) {
    const events = withDoubledIds(1_500);
    const scene = await ScriptedScene.open(t, { events, maxPage: 200, hook: withoutLost });
    const ending = await scene.ingest(flags);
    await scene.expect(ending, 5, events.slice(1));
  }
});

void test('as many ids that the API has twice, and counts once, stand in for no event of a page that came short', async (t) => {
  const events = [
    ...eventsUpTo(980),
    ...eventsUpTo(20).map((event) => ({ ...event, timestamp: NEWEST_MS - 5_000_000 })),
  ];
  let isDone = false;
  const hook: PageHook = ({ usual: { body, first } }) => {
    if (isDone || first !== 300) return undefined;
    isDone = true;
    return { body: { ...body, data: events.slice(300, 380), meta: { total: 980, returned: 80 } } };
  };
  const scene = await ScriptedScene.open(t, { events, maxPage: 100, total: 980, hook });
  await scene.ingestAll();
});

/** The last 40 events of a page have the ids of the newest 40, the first time that it is served. */
function doubledOnce({ api }: ScriptedScene, first: number): PageHook {
  let isDone = false;
  return ({ usual: { body, first: at, end } }) => {
    if (isDone || at !== first) return undefined;
    isDone = true;
    const { events } = api.options;
    const data = events.slice(at, end).map((event, k) => {
      const { id, name } = events[at + k - (end - 40)] ?? event;
      return { ...event, id, name };
    });
    return { body: { ...body, data } };
  };
}

void test('rows that the API no longer has stand in for no event, and a walk over its own rows is made once', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(400), maxPage: 200 });
  await scene.ingestAll();
  const first = scene.api.pageRequests;
  assertProof(await scene.ingestAll(['--full']), 'count');
  assert.equal(scene.api.pageRequests, 2 * first);
  scene.api.options.events = [...newerEvents(200), ...eventsUpTo(200)];
  scene.api.options.hook = doubledOnce(scene, 0);
  await scene.expect(await scene.ingest(['--full']), 0, [...newerEvents(200), ...eventsUpTo(400)]);
});

void test('rows that others have put there stand in for no event', async (t) => {
  const scene = await ScriptedScene.open(t, { events: [] });
  await scene.ingest();
  await scene.database.query(
    `INSERT INTO ingested_events (id) SELECT gen_random_uuid() FROM generate_series(1, 100); DROP SCHEMA ingestion CASCADE`,
  );
  scene.api.options.events = eventsUpTo(400);
  scene.api.options.hook = doubledOnce(scene, 200);
  const ending = await scene.ingest(['--page-size', '100']);
  await scene.database.query('DELETE FROM ingested_events WHERE name IS NULL');
  await scene.expect(ending, 0, eventsUpTo(400));
});

void test('the event that an inclusive cursor repeats is one place', async (t) => {
  for (const flags of [[], ['--concurrency', '4', '--page-size', '50']]) {
    const scene = await ScriptedScene.open(t, { events: eventsUpTo(2_000), maxPage: 100, hasInclusiveCursor: true });
    assertProof(await scene.ingestAll(flags), 'count');
  }
});

void test('the events that inclusive cursors repeat hide no event that was never served', async (t) => {
  const options = { events: eventsUpTo(2_000), maxPage: 100, hasInclusiveCursor: true, hook: withoutLost };
  const scene = await ScriptedScene.open(t, options);
  await scene.expect(await scene.ingest(), 5, options.events.slice(1));
});

/** Ten events an instant, and at each request those of one instant come in another order: ORDER BY time, and nothing else. */
function shuffled(events: readonly ScriptedEvent[], round: number): ScriptedEvent[] {
  const rank = ({ name }: ScriptedEvent): string => uuidFrom(`${name} ${round}`);
  return [...events].sort((a, b) => b.timestamp - a.timestamp || (rank(a) < rank(b) ? -1 : 1));
}

void test('pages that overlap differently each time hide no event: 5, and verify does not call it complete', async (t) => {
  const events = eventsUpTo(400, (n) => ({ timestamp: NEWEST_MS - Math.floor(n / 10) * 1_000 }));
  const scene = await ScriptedScene.open(t, { events, maxPage: 25, hasOffsetCursor: true });
  scene.api.options.hook = ({ number }) => {
    scene.api.options.events = shuffled(events, number);
    return undefined;
  };
  const ending = await scene.ingest();
  assert.ok(
    (await scene.count('SELECT count(*) FROM ingested_events')) < events.length,
    'the scene is one of missing events',
  );
  assert.equal(ending.code, 5, tailOf(ending));
  assert.match(ending.reason, /in no stable order/);
});

void test('ids that the API has twice at one instant, across borders, are no loss: walked once more, then 0', async (t) => {
  // At a border of pages of 200, of 199 and of 198: a walk is asked with a smaller limit than the one before it.
  const events = eventsUpTo(600, (n) => ([198, 200, 398].includes(n) ? eventNumber(n - 1) : {}));
  const scene = await ScriptedScene.open(t, { events, maxPage: 200 });
  const ending = await scene.ingestAll();
  assertProof(ending, 'api-end');
  assert.equal(warnings(ending, /may be missing/).length, 1, tailOf(ending));
  const verified = await scene.command('verify');
  assert.equal(verified.code, 0, verified.stderr);
  assert.doesNotMatch(verified.stdout, /nothing is missing/);
});

void test('an id that the API has seven times at one instant, at each border of its pages, is no loss', async (t) => {
  const events = eventsUpTo(8, (n) => (n > 1 ? eventNumber(1) : {}));
  assertProof(await (await ScriptedScene.open(t, { events, maxPage: 2 })).ingestAll(), 'api-end');
});
