import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrowingList, MINUTE_MS, HOUR_MS } from '../../support/follow/growing-list.ts';

void test('what comes is taken at one request a round; rounds that took nothing leave no trace', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(1_200);
  const requests: number[] = [];
  const end = await list.follow((wait) => {
    requests.push(list.api.pageRequests);
    if (wait === 5) list.grow(7);
    if (wait === 8) list.grow(3);
    return wait < 12;
  });
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  assert.equal(await list.missing(), 0);
  assert.deepEqual(
    requests.slice(1),
    Array.from({ length: 11 }, (_, at) => 5 + at),
  );
  assert.deepEqual(await list.runs(), [
    { begunBy: null, inserted: 1200, proof: 'count' },
    { begunBy: 'new-events', inserted: 7, proof: 'api-end' },
    { begunBy: 'new-events', inserted: 3, proof: 'api-end' },
  ]);
  assert.equal(list.told(end).filter((message) => message === 'new events were taken').length, 2);
});

void test('more than a page, events of one instant, and late ones are taken, each when the list shows them', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  const missing: number[] = [];
  const end = await list.follow(async (wait) => {
    missing.push(await list.missing());
    const now = list.clock.now();
    if (wait === 4) list.grow(2_300, 0, 10);
    // Of one instant: some before a look, some after it.
    if (wait === 6 || wait === 7) for (let at = 0; at < 40; at += 1) list.add(Date.UTC(2026, 0, 27, 12, 3));
    // Late by half an hour and by half a day.
    if (wait === 9) list.add(now - 30 * MINUTE_MS);
    if (wait === 11) list.add(now - 12 * HOUR_MS);
    return wait < 14;
  });
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  // What is older than the lookback is found by the next proof.
  assert.deepEqual(
    missing.slice(0, 11),
    Array.from({ length: 11 }, () => 0),
  );
  assert.equal(await list.missing(), 1);
});

void test('an API that is away for hours is asked once a minute, and told twice; nothing is lost', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  let fromMs = 0;
  let asked = 0;
  let duringOutage = Infinity;
  const end = await list.follow((wait) => {
    const { clock, api } = list;
    if (wait === 3) {
      fromMs = clock.now();
      asked = api.pageRequests;
      list.hook = () => ({ status: 503, body: { error: 'away' } });
    }
    const awayMs = clock.now() - fromMs;
    if (wait > 3 && asked > 0 && awayMs > 3 * HOUR_MS) {
      duringOutage = api.pageRequests - asked;
      asked = 0;
      list.hook = () => undefined;
      list.grow(40, 0, MINUTE_MS);
    }
    return fromMs === 0 || awayMs < 4 * HOUR_MS;
  });
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  assert.equal(await list.missing(), 0);
  assert.ok(duringOutage <= 3 * 60 + 6, `${duringOutage} requests`);
  const told = list.told(end).filter((message) => !/new events were taken/.test(message));
  const outage = told.slice(told.findIndex((message) => message.startsWith('waiting')));
  assert.deepEqual(outage, ['waiting until it can go on; nothing is lost', 'going on after the wait']);
});

void test('a first page out of a cache is asked for again, and no request is repeated within half a minute', async (t) => {
  const list = await GrowingList.open(t, { hasStream: false });
  list.grow(800);
  const cache = new Map<string, { readonly atMs: number; readonly body: unknown }>();
  const repeated: string[] = [];
  list.hook = ({ query, usual }) => {
    const key = query.toString();
    const nowMs = list.clock.now();
    const cached = cache.get(key);
    if (cached !== undefined && nowMs - cached.atMs < 30_000) {
      repeated.push(key);
      return { body: cached.body, headers: { 'x-cache': 'HIT', date: new Date(nowMs).toUTCString() } };
    }
    cache.set(key, { atMs: nowMs, body: usual.body });
    return undefined;
  };
  const missing: number[] = [];
  const end = await list.follow(
    async (wait) => {
      missing.push(await list.missing());
      list.grow(wait);
      return wait < 20;
    },
    ['--follow', '5s'],
  );
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  assert.deepEqual(repeated, []);
  assert.deepEqual(
    missing,
    Array.from({ length: 20 }, () => 0),
  );
});
