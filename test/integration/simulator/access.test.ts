/** Contract sections 1, 2 and 5: keys, stream access, tokens, budgets, the cache, internal answers, submissions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import {
  ask,
  askEvents,
  dashboardHeaders,
  KEY,
  openStream,
  parsePage,
  simulatorFor,
  type Reply,
} from '../../support/simulator-client.ts';

const json = (reply: Reply): Record<string, unknown> =>
  z.record(z.string(), z.unknown()).parse(JSON.parse(reply.body.toString()));
const ACCESS = '/internal/dashboard/stream-access';
const askAccess = (origin: string, headers: Record<string, string> = dashboardHeaders): Promise<Reply> =>
  ask(origin, ACCESS, { method: 'POST', headers, body: '{}' });

test('a missing or wrong key is refused as 401 or 403, on every endpoint that wants one', async (t) => {
  const simulator = await simulatorFor(t, { events: 10, key: 'right' });
  for (const path of ['/api/v1/events', '/api/v1/events/d4ta/x7k9/feed', '/internal/stats', ACCESS]) {
    assert.equal((await ask(simulator.baseUrl, path)).status, 401, path);
  }
  simulator.apply({ keyRefusedAs: '403' });
  assert.equal((await ask(simulator.baseUrl, '/api/v1/events', { headers: { 'X-API-Key': '' } })).status, 403);
  assert.equal((await ask(simulator.baseUrl, '/api/v1/events', { headers: { 'X-API-Key': 'right' } })).status, 200);
  assert.equal(simulator.stats().refusedKeys, 5);
});

test('a key stops working when its lifetime is over', async (t) => {
  const simulator = await simulatorFor(t, { events: 10 });
  assert.equal((await askEvents(simulator)).status, 200);
  simulator.apply({ keyLifetime: 0 });
  const start = Date.now();
  while (Date.now() === start) await new Promise(setImmediate);
  const over = await askEvents(simulator);
  assert.deepEqual([over.status, json(over)['code']], [401, 'API_KEY_EXPIRED']);
});

test('stream access names endpoint, token, header and lifetime; an older token stays good', async (t) => {
  const simulator = await simulatorFor(t, {
    events: 10,
    tokenHeader: 'X-Other-Token',
    streamPath: '/api/v1/events/new/path',
  });
  const reply = json(await askAccess(simulator.baseUrl));
  const access = z.record(z.string(), z.unknown()).parse(reply['streamAccess']);
  assert.equal(access['endpoint'], '/api/v1/events/new/path');
  assert.equal(access['expiresIn'], 300);
  assert.equal(access['tokenHeader'], 'X-Other-Token');
  assert.match(String(access['token']), /^[0-9a-f]{64}$/);
  const older = await openStream(simulator.baseUrl);
  const newer = await openStream(simulator.baseUrl);
  assert.deepEqual([(await older({})).status, (await newer({})).status], [200, 200]);
});

test('stream access wants a browser, and in strict mode everything that the dashboard sends', async (t) => {
  const simulator = await simulatorFor(t, { events: 10 });
  const refused = await askAccess(simulator.baseUrl, { 'Content-Type': 'application/json', 'User-Agent': 'node' });
  assert.deepEqual([refused.status, json(refused)['code']], [403, 'DASHBOARD_REQUIRED']);
  assert.equal((await askAccess(simulator.baseUrl, { 'User-Agent': 'Mozilla/5.0' })).status, 403);
  assert.equal((await askAccess(simulator.baseUrl)).status, 200);
  simulator.apply({ dashboard: 'strict' });
  const { origin } = new URL(simulator.baseUrl);
  const full: Record<string, string> = {
    ...dashboardHeaders,
    Origin: origin,
    Referer: `${origin}/`,
    'Sec-Fetch-Site': 'same-origin',
    'X-Requested-With': 'XMLHttpRequest',
    Cookie: `theme=dark; dashboard_api_key=${KEY}`,
  };
  assert.equal((await askAccess(simulator.baseUrl, full)).status, 200);
  for (const name of Object.keys(full)) {
    const without = Object.fromEntries(Object.entries(full).filter(([key]) => key !== name));
    assert.equal((await askAccess(simulator.baseUrl, without)).status, 403, `without ${name}`);
  }
});

test('stream access can be absent, refused or broken, from the start or after some grants', async (t) => {
  const simulator = await simulatorFor(t, { events: 10, streamAccess: 'absent' });
  assert.equal((await askAccess(simulator.baseUrl)).status, 404);
  simulator.apply({ streamAccess: 'refused' });
  assert.equal((await askAccess(simulator.baseUrl)).status, 403);
  simulator.apply({ streamAccess: 'broken' });
  assert.equal((await askAccess(simulator.baseUrl)).status, 502);
  simulator.apply({ streamAccess: 'granted', accessBreaksAfter: 1 });
  assert.deepEqual(
    [(await askAccess(simulator.baseUrl)).status, (await askAccess(simulator.baseUrl)).status],
    [200, 502],
  );
});

test('unknown and expired tokens are rejected as 401 or 403', async (t) => {
  const simulator = await simulatorFor(t, { events: 10, tokenLifetime: 0 });
  const stream = await openStream(simulator.baseUrl);
  const expired = await stream({});
  assert.deepEqual([expired.status, json(expired)['code']], [401, 'INVALID_STREAM_TOKEN']);
  simulator.apply({ tokenRejectedAs: '403' });
  assert.equal((await ask(simulator.baseUrl, '/api/v1/events/d4ta/x7k9/feed')).status, 403);
  assert.equal(simulator.stats().rejectedTokens, 2);
  simulator.apply({ tokenLifetime: 300, tokensRejected: true });
  assert.equal((await (await openStream(simulator.baseUrl))({})).status, 403);
});

for (const [streamBreaksAs, status] of [
  ['404', 404],
  ['403', 403],
  ['502', 502],
  ['token', 401],
] as const) {
  test(`the stream endpoint can fail for good in the middle of a run, as ${streamBreaksAs}`, async (t) => {
    const simulator = await simulatorFor(t, { events: 10, streamBreaksAfter: 2, streamBreaksAs });
    const stream = await openStream(simulator.baseUrl);
    const statuses = [await stream({}), await stream({}), await stream({})].map((reply) => reply.status);
    assert.deepEqual(statuses, [200, 200, status]);
    assert.equal((await askEvents(simulator)).status, 200);
  });
}

test('the documented budget: ten requests, headers on every answer, then 429 with Retry-After', async (t) => {
  const simulator = await simulatorFor(t, { events: 10, eventsLimit: 10, eventsWindow: 60 });
  for (let n = 1; n <= 10; n += 1) {
    const reply = await askEvents(simulator);
    assert.deepEqual(
      [reply.status, reply.headers['x-ratelimit-limit'], reply.headers['x-ratelimit-remaining']],
      [200, '10', String(10 - n)],
    );
    assert.ok(Number(reply.headers['x-ratelimit-reset']) <= 60);
  }
  const over = await askEvents(simulator);
  assert.equal(over.status, 429);
  assert.equal(over.headers['x-ratelimit-remaining'], '0');
  assert.ok(Number(over.headers['retry-after']) > 50);
  assert.equal(json(over)['code'], 'RATE_LIMIT_EXCEEDED');
  assert.deepEqual(Object.keys(z.object({ rateLimit: z.record(z.string(), z.number()) }).parse(json(over)).rateLimit), [
    'limit',
    'remaining',
    'reset',
  ]);
  const otherKey = await ask(simulator.baseUrl, '/api/v1/events', { headers: { 'X-API-Key': 'another' } });
  assert.equal(otherKey.status, 200, 'a budget of its own');
  const stream = await openStream(simulator.baseUrl);
  assert.equal((await stream({})).status, 200, 'an endpoint of its own');
  assert.equal(simulator.stats().rateLimited, 1);
  assert.deepEqual(
    simulator.stats().rateWindows.map(({ allowed, refused }) => [allowed, refused]),
    [
      [10, 1],
      [1, 0],
      [1, 0],
    ],
  );
});

test('Retry-After can be a date or missing, reset an epoch, and limits change during the run', async (t) => {
  const simulator = await simulatorFor(t, { events: 10, eventsLimit: 1, retryAfter: 'date', rateReset: 'epoch' });
  await askEvents(simulator);
  const dated = await askEvents(simulator);
  assert.equal(dated.status, 429);
  assert.match(String(dated.headers['retry-after']), /GMT$/);
  assert.ok(Math.abs(Date.parse(String(dated.headers['retry-after'])) - Date.now() - 60_000) < 5_000);
  assert.ok(Math.abs(Number(dated.headers['x-ratelimit-reset']) - Date.now() / 1000 - 60) < 5);
  simulator.apply({ retryAfter: 'missing', rateBody: false });
  const silent = await askEvents(simulator);
  assert.equal(silent.headers['retry-after'], undefined);
  assert.equal(json(silent)['rateLimit'], undefined);
  simulator.apply({ eventsLimit: 2 });
  assert.equal((await askEvents(simulator)).status, 200);
});

test('the stream endpoint can have a hidden budget without any header', async (t) => {
  const simulator = await simulatorFor(t, { events: 10, streamLimit: 2, retryAfter: 'missing' });
  const stream = await openStream(simulator.baseUrl);
  const replies = [await stream({}), await stream({}), await stream({})];
  assert.deepEqual(
    replies.map(({ status }) => status),
    [200, 200, 429],
  );
  assert.ok(replies.every(({ headers }) => Object.keys(headers).every((name) => !name.startsWith('x-ratelimit'))));
});

test('a key in the URL gets half the budget, and is counted', async (t) => {
  const simulator = await simulatorFor(t, { events: 10, eventsLimit: 4 });
  const inUrl = () => ask(simulator.baseUrl, '/api/v1/events?api_key=abc', { headers: { 'X-API-Key': '' } });
  await fetch(`${simulator.baseUrl}/events?api_key=abc`);
  assert.equal((await fetch(`${simulator.baseUrl}/events?api_key=abc`)).headers.get('x-ratelimit-limit'), '2');
  assert.equal((await fetch(`${simulator.baseUrl}/events?api_key=abc`)).status, 429);
  assert.equal((await inUrl()).status, 401);
  assert.equal(simulator.stats().keysInUrl, 4);
});

test('identical requests are answered from the cache with the same cursor, and cost no budget', async (t) => {
  const simulator = await simulatorFor(t, { events: 500, eventsLimit: 2, cache: 30 });
  const first = await askEvents(simulator, { limit: 10 });
  const second = await askEvents(simulator, { limit: 10 });
  assert.deepEqual(
    [first.headers['x-cache'], second.headers['x-cache'], second.headers['x-cache-ttl']],
    ['MISS', 'HIT', '30'],
  );
  assert.deepEqual(second.body, first.body);
  assert.equal((await askEvents(simulator, { limit: 9 })).headers['x-cache'], 'MISS');
  assert.equal((await askEvents(simulator, { limit: 8 })).status, 429);
  assert.equal((await askEvents(simulator, { limit: 9 })).headers['x-cache'], 'HIT');
  assert.equal(simulator.stats().cacheHits, 2);
});

test('a bad page that was cached comes back bad, unless bad pages are not cached', async (t) => {
  const simulator = await simulatorFor(t, {
    events: 50,
    cache: 30,
    faultPlan: [{ on: 'page', nth: 1, fault: 'html-200' }],
  });
  const bodies = async (limit: number) => {
    const [a, b] = [await askEvents(simulator, { limit }), await askEvents(simulator, { limit })];
    return [a, b].map(({ body }) => body.toString().startsWith('<html>'));
  };
  assert.deepEqual(await bodies(10), [true, true]);
  simulator.apply({ cacheBad: false, faultPlan: [{ on: 'page', nth: 2, fault: 'html-200' }] });
  assert.deepEqual(await bodies(11), [true, false]);
});

test('health needs no key, stats need one, and an unknown path is 404', async (t) => {
  const simulator = await simulatorFor(t, { events: 123 });
  for (const path of ['/health', '/internal/health']) {
    assert.equal((await ask(simulator.baseUrl, path, { headers: { 'X-API-Key': '' } })).status, 200);
  }
  assert.match((await ask(simulator.baseUrl, '/internal/stats')).body.toString(), /"events":123/);
  assert.equal((await ask(simulator.baseUrl, '/nowhere')).status, 404);
  assert.equal((await ask(simulator.baseUrl, '/api/v1/events', { method: 'DELETE' })).status, 405);
});

test('a key has five submissions; lines are counted and a receipt comes back', async (t) => {
  const simulator = await simulatorFor(t, { events: 1 });
  const path = '/api/v1/submissions?github_repo=https%3A%2F%2Fexample.com%2Frepo';
  const submit = (to: string, body: string, type = 'text/plain') =>
    ask(simulator.baseUrl, to, { method: 'POST', headers: { 'Content-Type': type }, body });
  assert.equal((await submit('/api/v1/submissions', 'a\n')).status, 400);
  assert.equal((await submit(path, '\n\n')).status, 400);
  assert.equal((await submit(path, 'a\n', 'application/json')).status, 415);
  for (let left = 4; left >= 0; left -= 1) {
    const receipt = json(await submit(path, 'a\nb\r\n\nc'));
    assert.equal(receipt['success'], true);
    const data = z.looseObject({ eventCount: z.number(), remainingSubmissions: z.number() }).parse(receipt['data']);
    assert.deepEqual([data.eventCount, data.remainingSubmissions], [3, left]);
  }
  const sixth = await submit(path, 'a\n');
  assert.deepEqual([sixth.status, json(sixth)['success']], [429, false]);
  assert.equal(simulator.stats().submissions.length, 5);
});

test('counts, log and controls can be used from another process', async (t) => {
  const simulator = await simulatorFor(t, { events: 20 });
  await askEvents(simulator, { limit: 5 });
  const control = (path: string, body?: string) =>
    ask(simulator.baseUrl, path, body === undefined ? {} : { method: 'POST', body });
  assert.equal(json(await control('/__sim/stats'))['eventsServed'], 5);
  assert.equal((await control('/__sim/settings', '{"streamAccess":"absent"}')).status, 200);
  assert.equal((await askAccess(simulator.baseUrl)).status, 404);
  assert.match((await control('/__sim/settings', '{"events":3}')).body.toString(), /fixed/);
  assert.equal((await control('/__sim/settings', '{"nonsense":3}')).status, 400);
  assert.equal((await control('/__sim/settings', 'not json')).status, 400);
  assert.equal(json(await control('/__sim/events?n=7', ''))['events'], 27);
  assert.equal((await control('/__sim/events?n=x', '')).status, 400);
  const log = z
    .array(z.record(z.string(), z.unknown()))
    .parse(JSON.parse((await control('/__sim/log')).body.toString()));
  assert.deepEqual(
    [log[0]?.['kind'], log[0]?.['limit'], log[0]?.['events'], log[0]?.['status']],
    ['events', 5, 5, 200],
  );
});

test('events arrive by themselves at the rate asked for', async (t) => {
  const simulator = await simulatorFor(t, { events: 20, arrivals: 1_000 });
  const deadline = Date.now() + 10_000;
  while (simulator.stats().data.events < 60 && Date.now() < deadline) await new Promise(setImmediate);
  const { events, distinctIds } = simulator.stats().data;
  assert.ok(events >= 60);
  assert.equal(distinctIds, events);
  assert.equal(parsePage(await askEvents(simulator, { limit: 1 })).meta.total, simulator.stats().data.events);
});
