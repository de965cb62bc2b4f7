/** What worked a moment ago and is refused now, over real sockets: asked again, later, or in another way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigurationError, GaveUpError, KeyRefusedError } from '../../../src/core/errors.ts';
import { PAGE, clientFor, pageOf, pageRequest, sendJson, serverFor } from './api-client-setup.ts';

test('a refusal that comes once costs one more request', async (t) => {
  const statuses = [401, 403, 404, 405, 406, 409, 420, 422, 423, 430, 451, 499];
  const server = await serverFor(t, (_req, res, nth) => {
    // A page, then each status before the next one.
    const status = nth % 2 === 1 ? 200 : (statuses[nth / 2 - 1] ?? 200);
    sendJson(res, status, status === 200 ? PAGE : '{"code":"NO"}');
  });
  const { client, traces } = clientFor(t, server.baseUrl);
  for (let page = 1; page <= statuses.length + 1; page += 1) {
    pageOf(await client.fetchPage(pageRequest({ page, cursor: `c${page}`, cursorReceivedAtMs: Date.now() })));
  }
  assert.equal(server.requests.length, 2 * statuses.length + 1);
  assert.deepEqual(Object.keys(traces.retries).sort(), ['refusal', 'server-error']);
});

for (const { what, status, headers, body, pauseMs } of [
  {
    what: 'a 403 with Retry-After',
    status: 403,
    headers: { 'retry-after': '1' },
    body: { message: 'No' },
    pauseMs: 990,
  },
  {
    what: 'a 401 with nothing left',
    status: 401,
    headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1' },
    body: {},
    pauseMs: 990,
  },
  { what: 'a 429 whose body tells a wait', status: 429, headers: {}, body: { retryAfter: 1 }, pauseMs: 990 },
  {
    what: 'a 429 whose body tells a wait in milliseconds',
    status: 429,
    headers: {},
    body: { error: { retry_after_ms: 300 } },
    pauseMs: 290,
  },
  {
    what: 'a 200 whose body tells it',
    status: 200,
    headers: {},
    body: { code: 'RATE_LIMIT_EXCEEDED', rateLimit: { limit: 10, remaining: 0, reset: 1 } },
    pauseMs: 990,
  },
  // No wait is told: the request goes ahead alone, and the third refusal in a row begins a pause.
  { what: 'a 403 with such words', status: 403, headers: {}, body: { message: 'secondary rate limit' }, pauseMs: 0 },
] as const) {
  test(`${what} is a pause for everybody, at the first contact too`, async (t) => {
    const refuseAt = async (at: number): Promise<void> => {
      const times: number[] = [];
      const server = await serverFor(t, (_req, res, nth) => {
        times.push(performance.now());
        if (nth === at) sendJson(res, status, JSON.stringify(body), headers);
        else sendJson(res, 200, PAGE);
      });
      const { client, traces } = clientFor(t, server.baseUrl);
      for (let page = 1; page <= at; page += 1) pageOf(await client.fetchPage(pageRequest({ page })));
      assert.deepEqual(traces.retries, { 'rate-limit': 1 });
      assert.ok((times[at] ?? 0) - (times[at - 1] ?? 0) >= pauseMs, `${(times[at] ?? 0) - (times[at - 1] ?? 0)} ms`);
    };
    await Promise.all([refuseAt(1), refuseAt(2)]);
  });
}

test('a refusal that stays ends it with what it is about, after a few tries', async (t) => {
  for (const [status, kind] of [
    [401, KeyRefusedError],
    [403, KeyRefusedError],
    [404, GaveUpError],
    [400, GaveUpError],
  ] as const) {
    const server = await serverFor(t, (_req, res, nth) => {
      if (nth === 1) sendJson(res, 200, PAGE);
      else sendJson(res, status, '{"code":"NO"}');
    });
    const { client } = clientFor(t, server.baseUrl, { maxWaitMs: 300 });
    await client.fetchPage(pageRequest());
    await assert.rejects(client.fetchPage(pageRequest({ page: 2 })), kind);
    assert.ok(server.requests.length >= 6, `${status}: ${server.requests.length}`);
  }
});

test('a page that is too large for the API is asked for as the API says, or smaller', async (t) => {
  const answers = [
    { status: 400, body: '{"message":"limit must be <= 60"}', maxEvents: 60 },
    { status: 413, body: '<html>Payload Too Large</html>', maxEvents: null },
    { status: 414, body: '', maxEvents: null },
  ];
  for (const { status, body, maxEvents } of answers) {
    const server = await serverFor(t, (_req, res) => {
      sendJson(res, status, body);
    });
    const { client, traces } = clientFor(t, server.baseUrl);
    assert.deepEqual(await client.fetchPage(pageRequest()), { kind: 'too-large', maxEvents });
    assert.equal(traces.log.includes('"max_events":60'), maxEvents === 60);
    // One event cannot be too many: then the address is wrong.
    if (status !== 400) await assert.rejects(client.fetchPage(pageRequest({ limit: 1 })), ConfigurationError);
  }
});
