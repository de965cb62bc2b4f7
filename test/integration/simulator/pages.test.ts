/** Contract sections 3 and 4: pages, cursors and windows, over real sockets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { askEvents, eventsOf, openStream, parsePage, walk, type Reply } from '../../support/simulator-client.ts';
import { TOTAL, idsOf, truthIds, walkAll, withEvents } from './walks.ts';

test('a chain of pages serves every event once, newest first, and ends with hasMore false', async (t) => {
  const simulator = await withEvents(t);
  const pages = await walkAll(simulator, 100);
  assert.equal(pages.length, Math.ceil(TOTAL / 100));
  assert.deepEqual(idsOf(pages), truthIds(simulator));
  assert.equal(pages.at(-1)?.pagination.hasMore, false);
  assert.equal(pages.at(-1)?.pagination.nextCursor, null);
  assert.equal(pages[0]?.meta.total, TOTAL);
  const times = Array.from(simulator.truth(), ({ occurredAtMicros }) => occurredAtMicros ?? 0);
  assert.ok(times.every((time, index) => index === 0 || time <= (times[index - 1] ?? 0)));
});

test('limit is 100 by default, capped at 5,000, and other parameters are ignored', async (t) => {
  const simulator = await withEvents(t, { events: 6_000 });
  const get = async (query: Record<string, string | number>): Promise<number> =>
    parsePage(await askEvents(simulator, query)).data.length;
  assert.equal(await get({}), 100);
  assert.equal(await get({ limit: 999_999 }), 5_000);
  assert.equal(await get({ limit: 'many' }), 100);
  assert.equal(await get({ limit: 7, offset: 5, page: 3, sort: 'asc', format: 'csv', fields: 'id' }), 7);
});

test('the docs shape has hasMore and nextCursor beside data and no total', async (t) => {
  const simulator = await withEvents(t, { shape: 'docs' });
  const page: unknown = JSON.parse((await askEvents(simulator, { limit: 2 })).body.toString());
  assert.deepEqual(Object.keys(z.record(z.string(), z.unknown()).parse(page)), ['data', 'hasMore', 'nextCursor']);
});

test('the envelope can stand before the events, under other names, with other types, in another order', async (t) => {
  const simulator = await withEvents(t, {
    envelope: 'before',
    dataField: 'events',
    keyCase: 'snake',
    hasMoreAs: 'text',
    keyOrder: 'reversed',
    spaces: true,
  });
  const text = (await askEvents(simulator, { limit: 2 })).body.toString();
  const page = z.record(z.string(), z.record(z.string(), z.unknown()).or(z.array(z.unknown()))).parse(JSON.parse(text));
  assert.deepEqual(Object.keys(page), ['meta', 'pagination', 'events']);
  assert.deepEqual(Object.keys(page['pagination'] ?? {}), ['cursor_expires_in', 'next_cursor', 'has_more', 'limit']);
  assert.match(text, /"has_more" : "true"/);
});

test('the last page can leave its cursor out, or say it is empty', async (t) => {
  const simulator = await withEvents(t, { lastCursor: 'absent' });
  const last = async () => parsePage(await askEvents(simulator, { limit: 5_000 })).pagination;
  assert.ok(!('nextCursor' in (await last())));
  simulator.apply({ lastCursor: 'empty' });
  assert.equal((await last()).nextCursor, '');
});

test('data sets of no, one and exactly a page of events are served whole', async (t) => {
  for (const events of [0, 1, 100, 101]) {
    const simulator = await withEvents(t, { events });
    const pages = await walkAll(simulator, 100);
    assert.equal(eventsOf(pages).length, events);
    assert.equal(pages.length, Math.max(1, Math.ceil(events / 100)));
  }
});

for (const ids of ['uuid', 'text', 'event-text', 'number', 'number-text'] as const) {
  test(`paging is exact with thousands of events in one millisecond and ${ids} ids`, async (t) => {
    const simulator = await withEvents(t, { ids, distribution: 'ties', tieSize: 1_000 });
    const pages = await walkAll(simulator, 77);
    const served = eventsOf(pages).map((event) => String(event['id']));
    assert.deepEqual(served, truthIds(simulator));
    assert.equal(new Set(served).size, TOTAL);
  });
}

for (const distribution of ['skewed', 'gaps', 'instant'] as const) {
  test(`paging is exact when the distribution is ${distribution}`, async (t) => {
    const simulator = await withEvents(t, { distribution });
    const pages = await walkAll(simulator, 500);
    assert.deepEqual(idsOf(pages), truthIds(simulator));
  });
}

test('a chain over events with bad ids finds every one of them, at every page size', async (t) => {
  const simulator = await withEvents(t, { events: 300, badIds: 0.3, distribution: 'ties', tieSize: 40 });
  for (const limit of [1, 2, 7, 50]) {
    const pages = await walkAll(simulator, limit);
    assert.equal(eventsOf(pages).length, 300);
    assert.deepEqual(
      eventsOf(pages).map((event) => JSON.stringify(event)),
      Array.from(simulator.truth(), ({ raw }) => JSON.stringify(JSON.parse(Buffer.from(raw).toString('utf8')))),
    );
  }
});

test('a cursor is Base64 JSON of the last event, in the alphabet and padding asked for', async (t) => {
  const simulator = await withEvents(t, { cursorTtl: 116 });
  const next = async (): Promise<string> =>
    parsePage(await askEvents(simulator, { limit: 3 })).pagination.nextCursor ?? '';
  const standard = await next();
  const content = z
    .object({ id: z.string(), ts: z.number(), v: z.literal(2), exp: z.number() })
    .parse(JSON.parse(Buffer.from(standard, 'base64').toString()));
  const third = Array.from(simulator.truth())[2];
  assert.equal(content.id, third?.id);
  assert.equal(content.ts * 1000, third?.occurredAtMicros);
  assert.ok(Math.abs(content.exp - Date.now() - 116_000) < 5_000);
  simulator.apply({ cursorAlphabet: 'url-safe', cursorPadding: false });
  assert.doesNotMatch(await next(), /[+/=]/);
});

test('a stale cursor is refused as 400, 410 or a 502 HTML page, a malformed one likewise', async (t) => {
  const simulator = await withEvents(t, { cursorTtl: 0 });
  const cursor = parsePage(await askEvents(simulator, { limit: 3 })).pagination.nextCursor ?? '';
  const again = async (sent: string): Promise<Reply> => await askEvents(simulator, { limit: 3, cursor: sent });
  while (Date.now() <= Number(/"exp":(\d+)/.exec(Buffer.from(cursor, 'base64').toString())?.[1]))
    await new Promise(setImmediate);
  const stale = await again(cursor);
  assert.equal(stale.status, 400);
  assert.match(stale.body.toString(), /CURSOR_EXPIRED.*expired 0 minute\(s\) ago/);
  assert.match((await again('rubbish!')).body.toString(), /CURSOR_INVALID/);
  simulator.apply({ staleAs: '410' });
  assert.equal((await again(cursor)).status, 410);
  simulator.apply({ staleAs: '502' });
  const balancer = await again(cursor);
  assert.equal(balancer.status, 502);
  assert.match(String(balancer.headers['content-type']), /html/);
  assert.equal(simulator.stats().staleCursors, 3);
  assert.equal(simulator.stats().badCursors, 1);
});

test('since and until select on the stream endpoint only, with bounds of either kind', async (t) => {
  const simulator = await withEvents(t, { timestamps: ['ms'] });
  const stream = await openStream(simulator.baseUrl);
  const truth = Array.from(simulator.truth());
  const until = (truth[100]?.occurredAtMicros ?? 0) / 1000;
  const since = (truth[199]?.occurredAtMicros ?? 0) / 1000;
  const ids = async () => parsePage(await stream({ limit: 5_000, since, until })).data.map((event) => event['id']);
  const expected = (from: number, to: number) => truth.slice(from, to).map(({ id }) => id);
  assert.deepEqual(await ids(), expected(100, 200));
  simulator.apply({ untilBound: 'exclusive' });
  assert.deepEqual(await ids(), expected(101, 200));
  simulator.apply({ sinceBound: 'exclusive' });
  assert.deepEqual(await ids(), expected(101, 199));
  simulator.apply({ windows: 'ignored' });
  assert.equal((await ids()).length, TOTAL);
  assert.equal(parsePage(await askEvents(simulator, { limit: 5_000, since, until })).data.length, TOTAL);
});

test('since beside a cursor is honoured or ignored', async (t) => {
  const simulator = await withEvents(t);
  const stream = await openStream(simulator.baseUrl);
  const truth = Array.from(simulator.truth());
  const window = { limit: 30, since: Math.floor((truth[99]?.occurredAtMicros ?? 0) / 1000), until: 4_102_444_800_000 };
  assert.equal(eventsOf(await walk(window, stream)).length, 100);
  simulator.apply({ sinceWithCursor: 'ignored' });
  assert.equal(eventsOf(await walk(window, stream)).length, TOTAL);
});

test('a window outside the data is an empty page or a 418', async (t) => {
  const simulator = await withEvents(t);
  const stream = await openStream(simulator.baseUrl);
  const empty = parsePage(await stream({ since: 1_000, until: 2_000 }));
  assert.deepEqual([empty.data.length, empty.pagination.hasMore], [0, false]);
  simulator.apply({ outOfRange: '418' });
  assert.equal((await stream({ since: 1_000, until: 2_000 })).status, 418);
  assert.equal((await stream({ since: 4_102_444_800_000 })).status, 418);
});

test('sessionId filters, page by page', async (t) => {
  const simulator = await withEvents(t, { sessions: 20 });
  const truth = Array.from(simulator.truth(), ({ raw }) =>
    z.looseObject({ sessionId: z.string(), id: z.string() }).parse(JSON.parse(Buffer.from(raw).toString())),
  );
  const sessionId = truth[5]?.sessionId ?? '';
  const pages = await walk({ limit: 9, sessionId }, (query) => askEvents(simulator, query));
  assert.ok(pages.length > 3);
  assert.deepEqual(
    idsOf(pages),
    truth.filter((event) => event.sessionId === sessionId).map(({ id }) => id),
  );
});

test('cursors lead past hand-written events one by one', async (t) => {
  const rawEvents = [0, 1, 2, 6, 7, 13].map((position) => ({ position, raw: `{"id":"raw-${position}"}` }));
  const simulator = await withEvents(t, { events: 8, distribution: 'instant', rawEvents });
  for (const limit of [1, 2, 3, 5]) {
    const pages = await walkAll(simulator, limit);
    assert.deepEqual(idsOf(pages), truthIds(simulator));
  }
});

test('events that arrive during a walk grow the total and disturb no cursor', async (t) => {
  const simulator = await withEvents(t, { events: 500, distribution: 'instant' });
  const before = truthIds(simulator);
  let served = 0;
  const pages = await walk({ limit: 50 }, async (query) => {
    if ((served += 1) > 1) simulator.addEvents(7);
    return await askEvents(simulator, query);
  });
  assert.deepEqual(idsOf(pages), before);
  assert.equal(pages.at(-1)?.meta.total, 500 + 9 * 7);
  assert.equal(eventsOf(await walkAll(simulator, 50)).length, 563);
});
