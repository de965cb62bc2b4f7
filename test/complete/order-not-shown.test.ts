/** Windows are trusted only on an order that was shown: where pages come in the order of arrival, one chain takes everything. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PageHook } from '../support/scripted-api.ts';
import { NEWEST_MS, eventsUpTo, newerEvents, uuidFrom, type ScriptedEvent } from '../support/scripted-events.ts';
import { ScriptedScene, assertProof, tailOf, warnings } from '../support/scripted-scene.ts';

const COUNT = 5_000;
const PAGES = ['--page-size', '100'];
const DEFAULT_CONCURRENCY = ['--concurrency', '8'];
const SINCE = ['--since', String(NEWEST_MS - 86_400_000)];

/** A number that looks random and is the same in every run. @returns 0 to `below` - 1 */
function drawn(what: string, below: number): number {
  return Number.parseInt(uuidFrom(what).slice(0, 8), 16) % below;
}

/** In the order of arrival; one in `oneIn` happened up to `lateMs` before it arrived, as on a phone that was offline. */
function byArrival(count: number, { oneIn, lateMs }: { oneIn: number; lateMs: number }): ScriptedEvent[] {
  return eventsUpTo(count, (n) =>
    drawn(`is ${n} late`, oneIn) === 0 ? { timestamp: NEWEST_MS - n * 1_000 - drawn(`how late is ${n}`, lateMs) } : {},
  );
}

const CASES = [
  { name: 'doc shape', shape: 'doc', flags: [], proof: 'api-end' },
  { name: 'live shape with --since', shape: 'live', flags: SINCE, proof: 'api-end' },
  { name: 'live shape', shape: 'live', flags: [], proof: 'count' },
] as const;

for (const { name, shape, flags, proof } of CASES) {
  void test(`pages in the order of arrival, 2 % of them up to an hour late, are loaded whole (${name})`, async (t) => {
    const events = byArrival(COUNT, { oneIn: 50, lateMs: 3_600_000 });
    const scene = await ScriptedScene.open(t, { events, shape, hasOffsetCursor: true });
    const ending = await scene.ingestAll([...PAGES, ...DEFAULT_CONCURRENCY, ...flags]);
    assertProof(ending, proof);
    assert.ok(warnings(ending, /order/).length > 0, tailOf(ending));
  });
}

void test('windows are given up by the next start, too, when a job was killed before it could do so', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(2_000), shape: 'doc', maxPage: 50, latencyMs: 5 });
  await scene.stopAt(({ number }) => number === 25, ['--concurrency', '4']);
  assert.ok((await scene.count('SELECT count(*) FROM ingestion.state')) > 1);
  // As a killed job leaves it: without an order, bounds have ended windows too soon.
  await scene.database.query('UPDATE ingestion.source SET ordered_by_time = false');
  await scene.database.query('UPDATE ingestion.state SET complete = true WHERE window_id > 1');
  const asked: string[] = [];
  scene.api.options.hook = ({ query }) => {
    asked.push(...['since', 'until'].filter((bound) => query.has(bound)));
    return undefined;
  };
  await scene.ingestAll(['--concurrency', '4']);
  assert.deepEqual(asked, []);
});

void test('late events whose times are not shown are counted, however narrow the windows', async (t) => {
  // Twenty a millisecond, every other one without a time; the late ones, which bounds move to the oldest window, are among those.
  const events = eventsUpTo(800, (n) => ({
    timestamp: NEWEST_MS - Math.floor(n / 20) - (n % 50 === 0 ? 3_600_000 : 0),
    isTimed: n % 2 === 1,
  }));
  const hook: PageHook = ({ usual: { body } }) => {
    const served = body['data'] as readonly ScriptedEvent[];
    const data = served.map(({ isTimed, timestamp, ...event }) => (isTimed === true ? { ...event, timestamp } : event));
    return { body: { ...body, data } };
  };
  const scene = await ScriptedScene.open(t, { events, hook, maxPage: 21, latencyMs: 2 });
  const ending = await scene.ingestAll(['--concurrency', '4', '--page-size', '21']);
  assert.ok(
    ending.logs.some(({ msg }) => msg === 'window split'),
    tailOf(ending),
  );
  assert.equal(warnings(ending, /again/).length, 0, tailOf(ending));
});

void test('an API that serves the oldest first is walked once in every run', async (t) => {
  const scene = await ScriptedScene.open(t, { events: eventsUpTo(1_000).toReversed() });
  for (const flags of [[], ['--full']]) {
    const askedBefore = scene.api.pageRequests;
    assertProof(await scene.ingestAll([...PAGES, ...DEFAULT_CONCURRENCY, ...flags]), 'count');
    assert.equal(scene.api.pageRequests - askedBefore, 10);
  }
});

void test('what was seen of the order is remembered, and cursors that keep their place in the list change nothing about it', async (t) => {
  const events = byArrival(COUNT, { oneIn: 50, lateMs: 3_600_000 });
  const scene = await ScriptedScene.open(t, { events, shape: 'doc' });
  const ending = await scene.ingestAll([...PAGES, ...DEFAULT_CONCURRENCY]);
  assert.ok(warnings(ending, /order/).length > 0, tailOf(ending));
  await scene.ingestAll([...PAGES, ...DEFAULT_CONCURRENCY, '--full']);
});

void test('a few events that arrived late by more than all the others last are loaded', async (t) => {
  const events = byArrival(COUNT, { oneIn: 1_237, lateMs: 40_000_000 });
  const scene = await ScriptedScene.open(t, { events, shape: 'doc', hasOffsetCursor: true });
  await scene.ingestAll([...PAGES, ...DEFAULT_CONCURRENCY]);
});

void test('events of a shuffled list are loaded, whatever their times', async (t) => {
  const events = eventsUpTo(COUNT, (n) => ({ timestamp: NEWEST_MS - drawn(`place of ${n}`, COUNT * 1_000) }));
  const scene = await ScriptedScene.open(t, { events, shape: 'doc', hasOffsetCursor: true });
  const ending = await scene.ingestAll([...PAGES, ...DEFAULT_CONCURRENCY]);
  assert.ok(warnings(ending, /order/).length > 0, tailOf(ending));
});

const LATE = 99;
/** In the order of arrival; one event, the last of its page, happened 50 seconds before its neighbours. */
const withOneLate = eventsUpTo(300, (n) => (n === LATE ? { timestamp: NEWEST_MS - (LATE + 50) * 1_000 - 500 } : {}));

for (const timesServed of [0, 1]) {
  const served = timesServed === 0 ? 'is stale at once' : 'was served once and is stale then';
  void test(`behind a late event at the end of a page, whose cursor ${served}, nothing is passed over`, async (t) => {
    let askedBehind = 0;
    const hook: PageHook = ({ cursor, usual }) => {
      if (cursor === null || usual.first !== LATE + 1) return undefined;
      askedBehind += 1;
      return askedBehind > timesServed ? { status: 410, body: { code: 'CURSOR_EXPIRED' } } : undefined;
    };
    const scene = await ScriptedScene.open(t, { events: withOneLate, shape: 'doc', maxPage: 10, hook });
    const ending = await scene.ingestAll(['--concurrency', '1', '--page-size', '10']);
    assert.ok(askedBehind > timesServed, tailOf(ending));
  });
}

void test('late events at the top of the list, below the watermark and within the lookback, are found by the next run', async (t) => {
  const events = byArrival(COUNT, { oneIn: 50, lateMs: 3_600_000 });
  const scene = await ScriptedScene.open(t, { events, shape: 'doc' });
  await scene.ingestAll([...PAGES, ...DEFAULT_CONCURRENCY]);
  const late = newerEvents(200, (n) => (n % 10 === 0 ? { timestamp: NEWEST_MS + n * 10_000 } : {}));
  scene.api.options.events = [...late, ...events];
  await scene.ingestAll([...PAGES, ...DEFAULT_CONCURRENCY]);
});

void test('pages whose times descend are taken in windows, and nobody is warned', async (t) => {
  for (const shape of ['doc', 'live'] as const) {
    const scene = await ScriptedScene.open(t, { events: eventsUpTo(COUNT), shape });
    const windows: string[] = [];
    scene.api.options.hook = ({ query }) => {
      if (query.has('until')) windows.push(query.toString());
      return undefined;
    };
    const ending = await scene.ingestAll([...PAGES, ...DEFAULT_CONCURRENCY]);
    assert.ok(windows.length > 0, 'no window was asked for');
    assert.deepEqual(warnings(ending, /order/), []);
  }
});
