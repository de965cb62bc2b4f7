/** State belongs to its source, and what a person asks for by a flag is done or refused, whatever is stored. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScriptedApi } from '../support/scripted-api.ts';
import {
  eventNumber,
  eventsUpTo,
  newerEvents,
  NEWEST_MS,
  newestFirst,
  uuidFrom,
  type ScriptedEvent,
} from '../support/scripted-events.ts';
import { assertProof, ScriptedScene, tailOf } from '../support/scripted-scene.ts';

const MINUTE = ['--lookback', '60'];

const LATE = 300;
/** Events that arrived after the first run, below its watermark: 20 to 70 minutes older than it. */
const lateEvents = (): ScriptedEvent[] =>
  Array.from({ length: LATE }, (_, k) => eventNumber(1_200 + 10 * k, { id: uuidFrom(`late ${k}`), name: `late_${k}` }));

/** A complete run; then new and late events; then an incremental run that is stopped at its third page. */
async function stoppedIncremental(scene: ScriptedScene): Promise<void> {
  await scene.ingestAll();
  scene.api.options.events = newestFirst([...newerEvents(1_000), ...scene.api.options.events, ...lateEvents()]);
  const stopped = await scene.stopAt(({ usual }) => usual.first === 400, MINUTE);
  assert.equal(stopped.code, 143, tailOf(stopped));
}

for (const [name, flags] of [
  ['--full', ['--full', ...MINUTE]],
  ['--lookback', ['--lookback', '2h']],
] as const) {
  void test(`${name} after a stopped incremental run is obeyed`, async (t) => {
    const scene = await ScriptedScene.open(t, { events: eventsUpTo(4_500), shape: 'doc', maxPage: 200 });
    await stoppedIncremental(scene);
    await scene.ingestAll(flags);
  });
}

void test('a stopped incremental run is gone on with by a start with the same flags', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(4_500), shape: 'doc', maxPage: 200 });
  await stoppedIncremental(scene);
  const ending = await scene.ingest(MINUTE);
  const late = new Set(lateEvents().map(({ name }) => name));
  await scene.expect(
    ending,
    0,
    scene.api.options.events.filter(({ name }) => !late.has(name)),
  );
  assert.equal(await scene.count('SELECT count(*) FROM ingestion.run'), 2);
});

void test('a run that was begun with --full goes on when the same command is started again', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(3_000), shape: 'doc', maxPage: 200 });
  await scene.ingestAll();
  const stopped = await scene.stopAt(({ usual }) => usual.first === 2_000, ['--full']);
  assert.equal(stopped.code, 143, tailOf(stopped));
  const before = scene.api.pageRequests;
  await scene.ingestAll(['--full']);
  assert.equal(await scene.count('SELECT count(*) FROM ingestion.run'), 2);
  const asked = scene.api.pageRequests - before;
  assert.ok(asked <= 8, `${asked} pages were asked for: 4 were left`);
});

for (const [idType, events, other] of [
  ['uuid', eventsUpTo(300), 'text'],
  ['text', eventsUpTo(300, (n) => ({ id: `evt-${n}` })), 'uuid'],
] as const) {
  void test(`--id-type ${other} against a table with rows whose ids are ${idType} is refused with 2`, async (t) => {
    const scene = await ScriptedScene.open(t, { events });
    await scene.ingestAll();
    const refused = await scene.ingest(['--id-type', other]);
    await scene.expect(refused, 2, events);
    assert.match(refused.reason, /--id-type/);
    assert.equal(await scene.count('SELECT count(*) FROM ingestion.run'), 1);
    assertProof(await scene.ingestAll(['--id-type', idType]), 'count');
  });
}

void test('--id-type is obeyed where the table has no rows yet, also in an unfinished run', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(1_000), maxPage: 200 });
  const stopped = await scene.stopAt(({ usual }) => usual.first === 0);
  assert.equal(stopped.code, 143, tailOf(stopped));
  await scene.database.query('TRUNCATE ingested_events');
  const ending = await scene.ingest(['--id-type', 'text']);
  await scene.expect(ending, 0, scene.api.options.events);
  const type = `SELECT count(*) FROM pg_attribute
                 WHERE attrelid = 'ingested_events'::regclass AND attname = 'id' AND atttypid = 'text'::regtype`;
  assert.equal(await scene.count(type), 1);
});

/** Events of another source: other ids at the same times. */
const eventsOfB = (): ScriptedEvent[] => eventsUpTo(2_000, (n) => ({ id: uuidFrom(`other ${n}`), name: `other_${n}` }));

void test('verify of another source than the run is of is refused with both addresses, and of the same, with a slash or not, ends with 0', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(1_000) });
  await scene.ingestAll();
  const other = await ScriptedApi.open(t, { events: eventsOfB().slice(0, 1_000) });
  const refused = await scene.command('verify', [], other);
  assert.equal(refused.code, 2, refused.stderr);
  for (const { baseUrl } of [scene.api, other]) assert.ok(refused.stderr.includes(baseUrl), refused.stderr);
  assert.doesNotMatch(refused.stdout, /nothing is missing/);
  for (const baseUrl of [scene.api.baseUrl, `${scene.api.baseUrl}/`]) {
    const checked = await scene.command('verify', [], { baseUrl });
    assert.equal(checked.code, 0, checked.stderr);
  }
});

const LIMITS = {
  'one minute of it': ['--since', String(NEWEST_MS - 60_000), '--until', String(NEWEST_MS)],
  'its newest ten minutes': ['--since', String(NEWEST_MS - 600_000)],
};

for (const [what, limits] of Object.entries(LIMITS)) {
  void test(`a source of which a run has taken ${what} is taken whole by the next, whatever another source's watermark is`, async (t) => {
    const a = eventsUpTo(1_500);
    const scene = await ScriptedScene.open(t, { events: a, shape: 'doc' });
    await scene.ingestAll();
    const b = await ScriptedApi.open(t, { events: eventsOfB(), shape: 'doc' });
    const limited = await scene.ingest(['--new-run', ...limits], b);
    assert.equal(limited.code, 0, tailOf(limited));
    await scene.expect(await scene.ingest(MINUTE, b), 0, [...a, ...eventsOfB()]);
  });
}

void test('a source that comes back after another one goes on from its own watermark', async (t) => {
  const a = eventsUpTo(1_500);
  const scene = await ScriptedScene.open(t, { events: a, shape: 'doc' });
  await scene.ingestAll();
  // Far newer, so that its watermark lies above everything of the first.
  const b = newerEvents(300, (n) => ({ id: uuidFrom(`other ${n}`), timestamp: NEWEST_MS + 86_400_000 - n }));
  const other = await ScriptedApi.open(t, { events: newestFirst(b), shape: 'doc' });
  const began = await scene.ingest(['--new-run'], other);
  assert.equal(began.code, 0, tailOf(began));
  scene.api.options.events = [...newerEvents(400), ...a];
  const back = await scene.ingest(['--new-run', ...MINUTE]);
  await scene.expect(back, 0, [...scene.api.options.events, ...b]);
});

for (const shape of ['doc', 'live'] as const) {
  void test(`a page of events from the future, above data that lags behind the clock, hides nothing that comes later (${shape} shape)`, async (t) => {
    const future = eventsUpTo(250, (n) => ({
      ...{ id: uuidFrom(`future ${n}`), name: `future_${n}` },
      timestamp: Date.UTC(2099, 0, 1) - n * 1_000,
    }));
    const scene = await ScriptedScene.open(t, { events: [...future, ...eventsUpTo(1_000)], shape, maxPage: 200 });
    await scene.ingestAll(MINUTE);
    scene.api.options.events = [...future, ...newerEvents(300), ...eventsUpTo(1_000)];
    await scene.ingestAll(MINUTE);
    // As many are deleted as come: a count that grows shows nothing.
    const kept = [...newerEvents(300), ...eventsUpTo(700)];
    const newest = eventsUpTo(300, (n) => ({
      ...{ id: uuidFrom(`newest ${n}`), name: `newest_${n}` },
      timestamp: NEWEST_MS + 900_000 - n * 1_000,
    }));
    scene.api.options.events = [...future, ...newest, ...kept];
    const ending = await scene.ingest(MINUTE);
    await scene.expect(ending, 0, [...future, ...newest, ...newerEvents(300), ...eventsUpTo(1_000)]);
  });
}
