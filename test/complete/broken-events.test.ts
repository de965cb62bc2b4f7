/** Events that are damaged at the source cost themselves, and nobody else: the run goes on, and every place is counted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliCompressSync, constants } from 'node:zlib';
import { MAX_DECODED_BYTES } from '../../src/core/body-decoding.ts';
import { ScriptedScene, assertProof, tailOf, warnings } from '../support/scripted-scene.ts';
import { eventsUpTo, NEWEST_MS, type ScriptedEvent } from '../support/scripted-events.ts';
import { toCursor, type PageHook, type UsualPage } from '../support/scripted-api.ts';

const EVENTS = eventsUpTo(600);
const isBroken = (broken: Readonly<Record<number, string>>, n: number): boolean => broken[n] !== undefined;

/** The usual page, in which single events have other bytes. */
function bytesOf({ body, first, end }: UsualPage, broken: Readonly<Record<number, string>>): Buffer {
  const envelope = Object.fromEntries(Object.entries(body).filter(([key]) => key !== 'data'));
  const texts = EVENTS.slice(first, end).map((event, at) => broken[first + at] ?? JSON.stringify(event));
  // One character a byte: so the texts can hold any bytes.
  return Buffer.from(`{"data":[${texts.join(',')}],${JSON.stringify(envelope).slice(1)}`, 'latin1');
}

function textOf(n: number): string {
  return JSON.stringify(EVENTS[n]);
}

function others(broken: Readonly<Record<number, string>>): ScriptedEvent[] {
  return EVENTS.filter((_, n) => !isBroken(broken, n));
}

void test('broken events are set aside with their bytes, all others are loaded, and the count proves it', async (t) => {
  const broken = {
    3: textOf(3).replace('"n":3', '"n":NaN'),
    77: textOf(77).replace('event_77', 'event\xff\xc3'),
    250: textOf(250).replace('event_250', 'x"},{\\"id\\":\\"evil\\"}'),
    251: textOf(251).replace('"type"', 'type"'),
    599: textOf(599).replace('}}', '}'),
  };
  const hook: PageHook = ({ usual }) => ({ body: bytesOf(usual, broken) });
  const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: 200, hook });
  const ending = await scene.ingest();
  await scene.expect(ending, 0, others(broken));
  assertProof(ending, 'count');
  assert.deepEqual(await scene.rejected(), { 'not-json': 4, 'not-utf-8': 1 });
  const { rows } = await scene.database.query<{ original: Buffer }>('SELECT original FROM ingestion.anomaly');
  assert.deepEqual(rows.map(({ original }) => original.toString('latin1')).sort(), Object.values(broken).sort());
  assert.ok(warnings(ending, /broken at the source/).length >= 3, tailOf(ending));
  assert.ok(scene.api.pageRequests < 25, `${scene.api.pageRequests} requests`);
});

void test('a broken event costs itself where each page begins with the end of the last', async (t) => {
  const broken = { 250: textOf(250).replace('}}', '}'), 477: textOf(477).replace('"page_view"', '"page_view') };
  const hook: PageHook = ({ usual }) => ({ body: bytesOf(usual, broken) });
  const options = { events: EVENTS, shape: 'doc', maxPage: 100, hasInclusiveCursor: true, hook } as const;
  const scene = await ScriptedScene.open(t, options);
  await scene.expect(await scene.ingest(), 0, others(broken));
  assert.deepEqual(await scene.rejected(), { 'not-json': 2 });
});

/** With two readings: the end of it may be an event of its own. */
const twice = (n: number): string => textOf(n).replace(`event_${n}`, 'x"},{\\"id\\":\\"evil\\"}');
const allTwice = (...places: number[]): Record<number, string> => Object.fromEntries(places.map((n) => [n, twice(n)]));

for (const shape of ['doc', 'live'] as const) {
  void test(`broken events side by side cost themselves behind inclusive cursors: ${shape}`, async (t) => {
    const broken = allTwice(0, 1, 99, 100, 250, 251, 252, 598, 599);
    const hook: PageHook = ({ usual }) => ({ body: bytesOf(usual, broken) });
    const options = { events: EVENTS, shape, maxPage: 100, hasInclusiveCursor: true, hook } as const;
    const scene = await ScriptedScene.open(t, options);
    const ending = await scene.ingest();
    await scene.expect(ending, 0, others(broken));
    assert.deepEqual(await scene.rejected(), { 'not-json': 9 });
    assert.ok(scene.api.pageRequests < 100, `${scene.api.pageRequests} requests`);
  });

  void test(`they do so, too, where the run is stopped between them: ${shape}`, async (t) => {
    const broken = allTwice(250, 251, 252);
    const hook: PageHook = ({ usual }) => ({ body: bytesOf(usual, broken) });
    const options = { events: EVENTS, shape, maxPage: 100, hasStream: false, hasInclusiveCursor: true, hook } as const;
    const scene = await ScriptedScene.open(t, options);
    const stopped = await scene.stopAt(({ usual }) => usual.first === 251);
    assert.equal(stopped.code, 143, tailOf(stopped));
    await scene.expect(await scene.ingest(), 0, others(broken));
    assert.deepEqual(await scene.rejected(), { 'not-json': 3 });
  });
}

const differing = (number: number): string => textOf(250).replace('"event_250"', `"${number}},{`);

const ODD_LISTS: readonly (readonly [string, PageHook])[] = [
  ['its bytes are others each time', ({ number, usual }) => ({ body: bytesOf(usual, { 250: differing(number) }) })],
  [
    'the API minds no limit',
    ({ usual: { first } }) => {
      const end = first + 100;
      const nextCursor = toCursor({ left: EVENTS.length - end });
      const body = end === EVENTS.length ? { hasMore: false, nextCursor: null } : { hasMore: true, nextCursor };
      return { body: bytesOf({ body, first, end, isLast: false }, { 250: textOf(250).replace('"type"', 'type"') }) };
    },
  ],
];

for (const [name, hook] of ODD_LISTS) {
  void test(`a broken event costs itself where ${name}`, async (t) => {
    const scene = await ScriptedScene.open(t, { events: EVENTS, shape: 'doc', maxPage: 100, hook });
    await scene.expect(await scene.ingest(), 0, others({ 250: '' }));
  });
}

void test('an event that came damaged on the way is loaded', async (t) => {
  let times = 0;
  const hook: PageHook = ({ usual }) => {
    times += 1;
    return times === 2 ? { body: bytesOf(usual, { [usual.first]: '{"id":NaN}' }) } : undefined;
  };
  const scene = await ScriptedScene.open(t, { events: EVENTS, shape: 'doc', maxPage: 200, hook });
  await scene.ingestAll();
});

void test('an event that is larger than memory allows costs itself', async (t) => {
  const broken = { 300: textOf(300).replace('event_300', 'x'.repeat(3 * 2 ** 20)) };
  const hook: PageHook = ({ usual }) => ({ body: bytesOf(usual, broken) });
  const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: 200, hook });
  // Pages of 2 MiB are allowed.
  const ending = await scene.ingest(['--max-bytes-in-flight', '8MiB']);
  await scene.expect(ending, 0, others(broken));
  assert.deepEqual(await scene.rejected(), { 'event-too-large': 1 });
});

void test('a page that has more in it than is decompressed is asked for in smaller parts', async (t) => {
  const bomb = brotliCompressSync(new Uint8Array(MAX_DECODED_BYTES + 1), {
    params: { [constants.BROTLI_PARAM_QUALITY]: 0 },
  });
  const hook: PageHook = ({ query }) =>
    Number(query.get('limit')) > 150 ? { body: bomb, headers: { 'content-encoding': 'br' } } : undefined;
  const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: 200, hook });
  await scene.ingestAll(['--page-size', '200', '--concurrency', '1']);
  assert.ok(scene.api.pageRequests < 12, `${scene.api.pageRequests} requests`);
});

void test('a window that looks empty is asked about where the answer has broken events, too', async (t) => {
  // The newest: what is asked for to see whether the API answers at all.
  const broken = {
    0: textOf(0).replace('"n":0', '"n":NaN'),
    1: textOf(1).replace('event_1', 'x"},{\\"id\\":\\"evil\\"}'),
  };
  const hook: PageHook = ({ usual }) => ({ body: bytesOf(usual, broken) });
  const scene = await ScriptedScene.open(t, { events: EVENTS, maxPage: 50, hook });
  const ending = await scene.ingest(['--concurrency', '2', '--since', '2026-01-27T18:00:00Z']);
  await scene.expect(ending, 0, others(broken));
});

void test('a window is empty where the events below it are broken', async (t) => {
  // Windows are cut into the hours between the two halves: what lies below them is the first event of the second half.
  const events = eventsUpTo(600, (n) => (n < 300 ? {} : { timestamp: NEWEST_MS - n * 1_000 - 7_200_000 }));
  const texts = events.map((event) => JSON.stringify(event));
  texts[300] = textOf(300).replace('event_300', 'x"},{\\"id\\":\\"evil\\"}');
  const hook: PageHook = ({ usual: { body, first, end } }) => {
    const { data, ...envelope } = body;
    assert.ok(Array.isArray(data));
    return { body: Buffer.from(`{"data":[${texts.slice(first, end).join(',')}],${JSON.stringify(envelope).slice(1)}`) };
  };
  const scene = await ScriptedScene.open(t, { events, shape: 'doc', maxPage: 50, hook });
  const ending = await scene.ingest(['--concurrency', '4']);
  await scene.expect(ending, 0, [...events.slice(0, 300), ...events.slice(301)]);
  assert.ok(scene.api.pageRequests < 100, `${scene.api.pageRequests} requests`);
});

void test('where windows contradict each other, nothing is divided any more', async (t) => {
  const hours = (n: number): Readonly<Record<string, unknown>> =>
    n < 300 ? {} : { timestamp: NEWEST_MS - n * 1_000 - 7_200_000 };
  const events = eventsUpTo(600, hours);
  // What lies below the windows between the halves shows no times: nothing says whether they are empty.
  const shown = eventsUpTo(600, (n) => (n < 300 || n >= 350 ? hours(n) : { timestamp: undefined }));
  const hook: PageHook = ({ usual: { body, first, end } }) => ({ body: { ...body, data: shown.slice(first, end) } });
  const scene = await ScriptedScene.open(t, { events, shape: 'doc', maxPage: 50, hook });
  const ending = await scene.ingest(['--concurrency', '4']);
  await scene.expect(ending, 0, shown);
  const turns = ending.logs.map(({ msg }) => msg).filter((msg) => /window split|walking one chain/.test(msg));
  assert.match(turns.at(-1) ?? '', /walking one chain/, tailOf(ending));
});
