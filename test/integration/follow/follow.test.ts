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

void test('each late event leads to one walk over the lookback, at the next look', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  const missing: number[] = [];
  const requests: number[] = [];
  await list.follow(async (wait) => {
    missing.push(await list.missing());
    requests.push(list.api.pageRequests);
    if (wait === 3 || wait === 6) list.add(list.clock.now() - 30 * MINUTE_MS);
    return wait < 9;
  });
  assert.deepEqual(
    missing,
    Array.from({ length: 9 }, () => 0),
  );
  // Two walks beside the looks.
  assert.equal((requests[8] ?? 0) - (requests[2] ?? 0), 6 + 2);
});

void test('where events of the future fill the page of a look, what is new is taken without walking everything', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(4_000);
  // As appointments have it; the page of the first run shows what lies below them.
  list.grow(300, -24 * HOUR_MS, MINUTE_MS);
  const requests: number[] = [];
  const end = await list.follow(
    (wait) => {
      requests.push(list.api.pageRequests);
      // The first look asks for fewer events than there are appointments.
      if (wait === 1 || wait === 5) list.add(list.clock.now() + 30 * HOUR_MS);
      if (wait === 3) list.grow(1);
      return wait < 8;
    },
    ['--page-size', '1000'],
  );
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  assert.equal(await list.missing(), 0);
  assert.ok((requests[7] ?? 0) - (requests[0] ?? 0) <= 7 + 4, requests.join(' '));
});

void test('where bounded answers count what was asked for, a late event is found though nothing else comes', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  list.countWhatIsAskedFor();
  const end = await list.follow((wait) => {
    if (wait === 3) list.add(list.clock.now() - 30 * MINUTE_MS);
    // A quarter of the lookback is half as many.
    return wait < 60;
  });
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  assert.equal(await list.missing(), 0);
});

/** Events behind `fromMs` have ids that are none. */
function breakIds(list: GrowingList, fromMs: number): void {
  list.hook = ({ usual }) => {
    const events = list.events.slice(usual.first, usual.end);
    const data = events.map((event) => (event.timestamp > fromMs ? { ...event, id: {} } : event));
    return { body: { ...usual.body, data } };
  };
}

void test('more broken events than a look asks for do not end it: what comes behind them is taken', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  const end = await list.follow((wait) => {
    const now = list.clock.now();
    if (wait === 4) breakIds(list, now);
    if (wait === 4) list.grow(1_300, -13_000, 10);
    if (wait === 8) list.hook = () => undefined;
    if (wait === 8) list.grow(1);
    return wait < 12;
  });
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  // The second look asks for more of them than the first one.
  assert.equal(list.told(end).filter((message) => message.startsWith('not proven')).length, 2);
  assert.equal((await list.missingOf(list.events.slice(0, 1).map(({ id }) => String(id)))).length, 0);
});

void test('broken events in a quiet list lead to no round after the other', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  const requests: number[] = [];
  const end = await list.follow((wait) => {
    requests.push(list.api.pageRequests);
    if (wait === 4) breakIds(list, list.clock.now());
    if (wait === 4) list.grow(30, -30_000, 10);
    return wait < 45;
  });
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  assert.equal(list.told(end).filter((message) => message.startsWith('not proven')).length, 2);
  const { rows } = await list.database.query<{ kept: number }>('SELECT count(*)::int AS kept FROM ingestion.anomaly');
  // By the round that met them, and by the newest one over the lookback.
  assert.deepEqual(rows, [{ kept: 60 }]);
  // Beside the looks: the page behind the one that has shown them, and one walk over the lookback.
  assert.ok((requests[44] ?? 0) - (requests[3] ?? 0) <= 41 + 4, requests.join(' '));
});

void test('where the clock of the API is behind, the newest event is known all the same', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  list.hook = ({ usual }) => {
    const date = new Date(list.clock.now() - 2 * HOUR_MS).toUTCString();
    return { body: usual.body, headers: { date } };
  };
  let newestMs = 0;
  const end = await list.follow((wait) => {
    if (wait === 3) list.grow(2, 0);
    if (wait === 3) newestMs = list.clock.now();
    // More than an hour, after which a line tells it.
    return wait < 135;
  });
  const told = end.log.filter((line) => line.includes('nothing new lately'));
  assert.ok(told.length > 0, end.log.slice(-20).join(''));
  assert.ok(told.at(-1)?.includes(new Date(newestMs).toISOString()), told.join(''));
});
