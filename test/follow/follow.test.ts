import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrowingList, MINUTE_MS, HOUR_MS } from '../support/follow/growing-list.ts';

const DELETE_ONE = 'DELETE FROM ingested_events WHERE id = (SELECT min(id::text)::uuid FROM ingested_events)';

void test('at --prove-every the growth of the total is held against what was taken: what came late is found by one walk', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(900);
  let walked = 0;
  const end = await list.follow((wait) => {
    if (wait === 3) list.add(list.clock.now() - 12 * HOUR_MS);
    if (wait === 5) list.clock.pass(25 * HOUR_MS);
    if (wait === 5) walked = list.api.pageRequests;
    return wait < 7;
  });
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  assert.equal(await list.missing(), 0);
  // The look, what is new since the proof, the walk over everything with its look at the end, and the next look.
  assert.ok(list.api.pageRequests - walked < 12, `${list.api.pageRequests - walked}`);
  assert.equal((await list.runs()).at(-1)?.proof, 'count');
});

void test('where the API counts more than it serves, code 5 is shown, and following goes on with one walk a day', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(600);
  const requests: number[] = [];
  const end = await list.follow(
    (wait) => {
      list.api.options.total = list.events.length + 3;
      requests.push(list.api.pageRequests);
      if (wait === 3) list.grow(5);
      if (wait === 10) list.clock.pass(25 * HOUR_MS);
      return wait < 14;
    },
    ['--lookback', '10m'],
  );
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  assert.equal(await list.missing(), 0);
  assert.equal(list.told(end).filter((message) => message === 'not proven; following goes on').length, 1);
  // The growth of the total leads to the lookback once, to no walk over everything, and then is believed no more. The other is due.
  assert.ok((requests[9] ?? 0) - (requests[0] ?? 0) <= 9 + 2 * 2, String(requests));
});

void test('a key that is refused for good ends it with 3, another owner with 6', async (t) => {
  const refused = await GrowingList.open(t);
  refused.grow(10);
  const end = await refused.follow(
    (wait) => {
      if (wait === 3) {
        refused.hook = () => ({ status: 401, body: { code: 'KEY_REVOKED' } });
        refused.api.options.hasStream = false;
      }
      return wait < 60;
    },
    ['--endpoint', 'stream'],
  );
  assert.equal(end.exitCode, 3, end.log.slice(-10).join(''));
  refused.hook = () => undefined;
  refused.api.options.hasStream = true;
  const replaced = await refused.follow(async (wait) => {
    if (wait === 3) await refused.database.query('UPDATE ingestion.owner SET generation = generation + 1');
    return wait < 6;
  });
  assert.equal(replaced.exitCode, 6);
});

void test('the first event after a quiet night counts for the lag, though nothing else supports its time', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  const end = await list.follow((wait) => {
    if (wait === 3) list.clock.pass(5 * HOUR_MS);
    if (wait === 3) list.add(list.clock.now() - 1_000);
    return wait < 5;
  });
  assert.equal(await list.missing(), 0);
  assert.equal(end.snapshot.follow?.newestEventMs, Number(list.events[0]?.timestamp));
});

void test('a new start goes on from what rounds have taken, and does not walk what was proven not long ago', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(3_000, HOUR_MS);
  await list.follow((wait) => wait < 3);
  list.clock.pass(3 * HOUR_MS);
  list.grow(50, 90 * MINUTE_MS);
  await list.follow((wait) => wait < 3);
  const before = list.api.pageRequests;
  list.grow(5);
  const end = await list.follow((wait) => wait < 2);
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  assert.equal(await list.missing(), 0);
  assert.ok(list.api.pageRequests - before <= 3, `${list.api.pageRequests - before}`);
  // Three hours ago, and not since this start.
  const { kind, atMs } = end.snapshot.follow?.lastProof ?? {};
  assert.deepEqual([kind, Math.round((list.clock.now() - (atMs ?? 0)) / HOUR_MS)], ['count', 3]);
  // An ordinary start rests on what was proven.
  const { rows } = await list.database.query<{ floor: number }>(
    'SELECT max(run_id)::int AS floor FROM ingestion.run WHERE begun_by IS NULL',
  );
  assert.equal(rows.length, 1);
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

void test('what was not walked to its end is no run to go on from: fewer rows end the start with 5, and it goes on when they are accepted', async (t) => {
  const list = await GrowingList.open(t, { hasStream: false });
  list.grow(3_000);
  let asked = 0;
  list.hook = () => ((asked += 1) > 3 ? { status: 503, body: {} } : undefined);
  const stopped = await list.follow(() => false);
  assert.equal(stopped.exitCode, 143, stopped.log.slice(-10).join(''));
  list.hook = () => undefined;
  await list.database.query(DELETE_ONE);
  const refused = await list.follow(() => false);
  assert.equal(refused.exitCode, 5, refused.log.slice(-10).join(''));
  assert.equal((await list.runs()).at(-1)?.proof, null);
  const accepted = await list.follow(() => false, ['--accept-fewer-rows']);
  assert.equal(accepted.error, null, accepted.log.slice(-20).join(''));
  assert.equal(await list.missing(), 1);
});

void test('code 5 stays shown after a restart, and where rows are gone no time of a proof is shown that was none', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  list.api.options.total = 303;
  const first = await list.follow((wait) => wait < 3);
  assert.equal(first.snapshot.follow?.unproven?.exitCode, 5);
  const restarted = await list.follow(() => false);
  assert.equal(restarted.snapshot.follow?.unproven?.exitCode, 5);
  let provenMs = 0;
  const second = await list.follow(async (wait) => {
    list.api.options.total = 300;
    if (wait === 2) list.clock.pass(25 * HOUR_MS);
    if (wait === 5) {
      provenMs = list.clock.now();
      await list.database.query(DELETE_ONE);
      list.clock.pass(25 * HOUR_MS);
    }
    return wait < 7;
  });
  const { lastProof, unproven } = second.snapshot.follow ?? {};
  assert.equal(unproven?.exitCode, 5, second.log.slice(-20).join(''));
  assert.ok((lastProof?.atMs ?? Infinity) <= provenMs, JSON.stringify(lastProof));
});

void test('where the newest events are deleted, a round that waits for its end gives way to the next proof', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(200, 30 * HOUR_MS);
  list.grow(30);
  const end = await list.follow(
    (wait) => {
      if (wait === 3) list.api.options.events = list.events.slice(30);
      if (wait === 12) list.clock.pass(25 * HOUR_MS);
      return wait < 16;
    },
    ['--lookback', '10m'],
  );
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  assert.equal(end.snapshot.follow?.away, null);
  assert.equal((await list.runs()).at(-1)?.proof, 'count');
});

void test('in a list in the order of arrival, an event that is twelve hours old when it comes is taken by the next round', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  list.add(list.clock.now() - 12 * HOUR_MS, true);
  list.grow(100);
  const end = await list.follow((wait) => {
    if (wait === 3) list.add(list.clock.now() - 13 * HOUR_MS, true);
    return wait < 6;
  });
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  assert.equal(await list.missing(), 0);
});

void test('a page that fails once in each of many rounds is no page that fails again and again', async (t) => {
  const list = await GrowingList.open(t);
  list.grow(300);
  let failsNext = false;
  let failures = 0;
  list.hook = ({ query }) => {
    // Looks ask for fewer.
    if (!failsNext || query.has('cursor') || Number(query.get('limit')) < 400) return undefined;
    failsNext = false;
    failures += 1;
    return { status: 502, body: {} };
  };
  const end = await list.follow(
    (wait) => {
      failsNext = true;
      list.grow(1);
      list.clock.pass(3 * MINUTE_MS);
      return wait < 12;
    },
    ['--lookback', '10m'],
  );
  assert.equal(end.error, null, end.log.slice(-20).join(''));
  assert.ok(failures > 8, `${failures}`);
  assert.ok(!list.told(end).includes('a page failed; it is asked for again'));
});
