/** Stream access: tokens, falling back, windows, stale cursors; over real sockets. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { PageAnswer } from '../../../src/api/api-client.ts';
import { guessNextCursor } from '../../../src/api/cursor-guess.ts';
import { GaveUpError, KeyRefusedError } from '../../../src/core/errors.ts';
import { KEY, PAGE, clientFor, pageOf, pageRequest, sendJson, serverFor, simulatorFor } from './api-client-setup.ts';

const TOKEN = 'a1b2c3d4'.repeat(8);

function accessAnswer(changes: Record<string, unknown> = {}): string {
  return JSON.stringify({
    streamAccess: { endpoint: '/feed/x', token: TOKEN, expiresIn: 300, tokenHeader: 'X-Other-Token', ...changes },
  });
}

test('the path, the token and its header are the ones that stream access names', async (t) => {
  const server = await serverFor(t, (req, res) => {
    if (req.method === 'POST') sendJson(res, 200, accessAnswer());
    else sendJson(res, 200, PAGE);
  });
  const { client } = clientFor(t, server.baseUrl, { endpoint: 'auto' });
  const opened = await client.open();
  assert.equal(opened.endpoint, 'stream');
  pageOf(await client.fetchPage(pageRequest({ sinceMs: 1_000.25, untilMs: 2_000.5, cursor: 'a+/=' })));
  const [access, page] = server.requests;
  assert.equal(access?.url, '/internal/dashboard/stream-access');
  assert.equal(page?.headers['x-other-token'], TOKEN);
  assert.equal(page.headers['x-api-key'], KEY);
  const url = new URL(page.url ?? '', server.origin);
  assert.equal(url.pathname, '/feed/x');
  assert.deepEqual(Object.fromEntries(url.searchParams), { limit: '100', cursor: 'a+/=', since: '999', until: '2002' });
});

test('stream access is granted to what looks like the dashboard in every respect', async (t) => {
  const simulator = await simulatorFor(t, { dashboard: 'strict' });
  const { client } = clientFor(t, simulator.baseUrl, { endpoint: 'stream' });
  assert.equal((await client.open()).endpoint, 'stream');
});

test('a pause that is told while a token is renewed is kept', async (t) => {
  let [renewals, refusedMs, earliestMs] = [0, 0, Infinity];
  let refuse = (): void => undefined;
  const answerAfterRefusal = async (res: ServerResponse): Promise<void> => {
    refuse();
    while (traces.retries['rate-limit'] === undefined) await nextTurn();
    sendJson(res, 200, accessAnswer());
  };
  const server = await serverFor(t, (req, res, nth) => {
    if (req.method === 'POST') {
      renewals += 1;
      if (renewals === 2) void answerAfterRefusal(res);
      else sendJson(res, 200, accessAnswer());
    } else if (nth > 2 && req.url?.includes('cursor=held') === true && refusedMs === 0) {
      refuse = () => {
        refusedMs = performance.now();
        sendJson(res, 429, '{}', { 'retry-after': '1' });
      };
    } else if (req.url?.includes('cursor=refused') === true && renewals === 1) {
      sendJson(res, 401, '{"code":"INVALID_STREAM_TOKEN"}');
    } else {
      if (refusedMs > 0) earliestMs = Math.min(earliestMs, performance.now());
      sendJson(res, 200, PAGE);
    }
  });
  const { client, traces } = clientFor(t, server.baseUrl, { endpoint: 'auto' });
  pageOf(await client.fetchPage(pageRequest()));
  const cursors = ['held', 'refused'].map((cursor, at) => ({ cursor, cursorReceivedAtMs: Date.now(), page: at + 2 }));
  for (const answer of await Promise.all(cursors.map((one) => client.fetchPage(pageRequest(one))))) pageOf(answer);
  assert.ok(earliestMs - refusedMs >= 990, `${earliestMs - refusedMs} ms`);
});

for (const [streamAccess, pattern] of [
  ['absent', /404/],
  ['refused', /403/],
  ['broken', /502/],
] as const) {
  test(`where stream access is ${streamAccess}, auto runs over /events and says why, once`, async (t) => {
    const simulator = await simulatorFor(t, { streamAccess });
    const { client, traces } = clientFor(t, simulator.baseUrl, { endpoint: 'auto' });
    const { endpoint, reason } = await client.open();
    assert.equal(endpoint, 'events');
    assert.match(reason, pattern);
    pageOf(await client.fetchPage(pageRequest({ sinceMs: 5, untilMs: 6 })));
    assert.equal(client.endpoint, 'events');
    assert.equal(simulator.log().at(-1)?.sinceMs, null);
    assert.equal(traces.log.match(/the run goes on over/g)?.length, 1);
  });
}

test('with --endpoint stream, stream access that is refused or absent ends with code 3', async (t) => {
  for (const streamAccess of ['absent', 'refused'] as const) {
    const simulator = await simulatorFor(t, { streamAccess });
    const { client } = clientFor(t, simulator.baseUrl, { endpoint: 'stream' });
    await assert.rejects(client.open(), KeyRefusedError);
  }
});

test('with --endpoint stream, stream access that stays broken ends with code 4', async (t) => {
  const simulator = await simulatorFor(t, { streamAccess: 'broken' });
  const { client } = clientFor(t, simulator.baseUrl, { endpoint: 'stream', maxWaitMs: 300 });
  await assert.rejects(client.open(), GaveUpError);
});

test('a refused key is code 3 on either endpoint', async (t) => {
  for (const endpoint of ['auto', 'events', 'stream'] as const) {
    for (const keyRefusedAs of ['401', '403'] as const) {
      const simulator = await simulatorFor(t, { key: 'another key', keyRefusedAs });
      const { client } = clientFor(t, simulator.baseUrl, { endpoint });
      await assert.rejects(async () => {
        await client.open();
        await client.fetchPage(pageRequest());
      }, KeyRefusedError);
    }
  }
});

test('an endpoint on another origin does not get the key', async (t) => {
  const thief = await serverFor(t, (_req, res) => {
    sendJson(res, 200, PAGE);
  });
  for (const endpoint of [`${thief.origin}/feed`, `//127.0.0.1:${new URL(thief.origin).port}/feed`]) {
    const server = await serverFor(t, (req, res) => {
      if (req.method === 'POST') sendJson(res, 200, accessAnswer({ endpoint }));
      else sendJson(res, 200, PAGE);
    });
    const { client } = clientFor(t, server.baseUrl, { endpoint: 'auto' });
    assert.equal((await client.open()).endpoint, 'events');
    await client.fetchPage(pageRequest());
  }
  assert.equal(thief.requests.length, 0);
});

test('an answer that is no stream access is no reason to stop', async (t) => {
  for (const answer of [
    '{}',
    '[]',
    '{"streamAccess":{"endpoint":"/x"}}',
    accessAnswer({ token: 'a\r\nb' }),
    accessAnswer({ tokenHeader: 'a b' }),
  ]) {
    const server = await serverFor(t, (req, res) => {
      if (req.method === 'POST') sendJson(res, 200, answer);
      else sendJson(res, 200, PAGE);
    });
    const { client } = clientFor(t, server.baseUrl, { endpoint: 'auto' });
    assert.equal((await client.open()).endpoint, 'events', answer);
  }
});

test('a token is renewed at 80 % of its life, once for all, before any is rejected', async (t) => {
  const simulator = await simulatorFor(t, { tokenLifetime: 1, latency: 20 });
  const { client } = clientFor(t, simulator.baseUrl, { endpoint: 'stream' });
  const untilMs = performance.now() + 3_500;
  await Promise.all(
    Array.from({ length: 6 }, async (_, windowId) => {
      for (let page = 1; performance.now() < untilMs; page += 1)
        await client.fetchPage(pageRequest({ windowId, page, limit: 5 }));
    }),
  );
  const { tokensIssued, rejectedTokens } = simulator.stats();
  assert.ok(tokensIssued >= 4 && tokensIssued <= 5, `${tokensIssued} tokens in 3.5 s`);
  assert.equal(rejectedTokens, 0);
});

test('a token that ends early is renewed, and a single rejection is forgiven', async (t) => {
  const simulator = await simulatorFor(t, { faultPlan: [{ on: 'stream', nth: 2, fault: 'token' }] });
  const { client, traces } = clientFor(t, simulator.baseUrl, { endpoint: 'auto' });
  for (let page = 1; page <= 4; page += 1) pageOf(await client.fetchPage(pageRequest({ page })));
  assert.equal(client.endpoint, 'stream');
  assert.equal(simulator.stats().tokensIssued, 2);
  assert.deepEqual(traces.retries, { token: 1 });
});

test('fresh tokens that are rejected twice running mean that stream access is broken', async (t) => {
  for (const tokenRejectedAs of ['401', '403'] as const) {
    const simulator = await simulatorFor(t, { tokensRejected: true, tokenRejectedAs });
    const { client } = clientFor(t, simulator.baseUrl, { endpoint: 'auto' });
    assert.equal((await client.fetchPage(pageRequest())).kind, 'endpoint-changed');
    pageOf(await client.fetchPage(pageRequest()));
    assert.equal(client.endpoint, 'events');
    assert.equal(simulator.stats().tokensIssued, 2);
    const strict = clientFor(t, simulator.baseUrl, { endpoint: 'stream' });
    await assert.rejects(strict.client.fetchPage(pageRequest()), KeyRefusedError);
  }
});

for (const streamBreaksAs of ['404', '403', '502', 'token'] as const) {
  test(`a stream endpoint that fails for good with ${streamBreaksAs} hands every walk over to /events`, async (t) => {
    const simulator = await simulatorFor(t, { streamBreaksAfter: 8, streamBreaksAs });
    const { client } = clientFor(t, simulator.baseUrl, { endpoint: 'auto' });
    const answers: PageAnswer[][] = await Promise.all(
      [1, 2, 3].map(async (windowId) => {
        const seen: PageAnswer[] = [];
        for (let page = 1; page <= 12;) {
          const answer = await client.fetchPage(pageRequest({ windowId, page, limit: 10 }));
          seen.push(answer);
          if (answer.kind === 'page') page += 1;
        }
        return seen;
      }),
    );
    for (const seen of answers) {
      assert.equal(seen.filter(({ kind }) => kind === 'endpoint-changed').length, 1);
      assert.equal(seen.at(-1)?.kind, 'page');
    }
    assert.equal(client.endpoint, 'events');
  });
}

test('a stream endpoint that answers a page of HTML, compressed or not, or breaks off is left for /events', async (t) => {
  for (const broken of ['html', 'gzip', 'reset']) {
    const server = await serverFor(t, (req, res) => {
      if (req.method === 'POST') sendJson(res, 200, accessAnswer());
      else if (req.url?.startsWith('/feed/') !== true) sendJson(res, 200, PAGE);
      else if (broken === 'reset') req.socket.destroy();
      else if (broken === 'gzip') res.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('<html></html>'));
      else res.end('<html></html>');
    });
    const { client } = clientFor(t, server.baseUrl, { endpoint: 'auto' });
    assert.equal((await client.fetchPage(pageRequest())).kind, 'endpoint-changed', broken);
    pageOf(await client.fetchPage(pageRequest()));
  }
});

test('an outage of the whole API is no reason to leave the stream endpoint', async (t) => {
  let down = true;
  const server = await serverFor(t, (req, res, nth) => {
    if (nth > 40) down = false;
    if (req.method === 'POST') sendJson(res, 200, accessAnswer());
    else if (down) res.writeHead(502, { 'content-type': 'text/html' }).end('<html>Bad Gateway</html>');
    else sendJson(res, 200, PAGE);
  });
  const { client } = clientFor(t, server.baseUrl, { endpoint: 'auto' });
  pageOf(await client.fetchPage(pageRequest()));
  assert.equal(client.endpoint, 'stream');
});

for (const staleAs of ['400', '410', '502'] as const) {
  for (const endpoint of ['stream', 'events'] as const) {
    test(`a stale cursor that comes back as ${staleAs} on the ${endpoint} endpoint is distinguished from an outage`, async (t) => {
      const simulator = await simulatorFor(t, { staleAs, cursorTtl: 0.05 });
      const { client } = clientFor(t, simulator.baseUrl, { endpoint });
      const first = pageOf(await client.fetchPage(pageRequest()));
      const cursor = guessNextCursor(first);
      // Real time must pass: the API's clock decides.
      while (Date.now() < first.receivedAtMs + 120) await new Promise(setImmediate);
      const answer = await client.fetchPage(pageRequest({ page: 2, cursor, cursorReceivedAtMs: first.receivedAtMs }));
      assert.equal(answer.kind, 'stale-cursor');
      const anchored = await client.fetchPage(pageRequest({ page: 2, limit: 99 }));
      assert.equal(anchored.kind, 'page');
      assert.ok(simulator.stats().requestsTotal <= 8, `${simulator.stats().requestsTotal} requests`);
    });
  }
}

test('a 502 that everybody gets is not taken for a stale cursor', async (t) => {
  const server = await serverFor(t, (_req, res, nth) => {
    if (nth > 1 && nth < 20) res.writeHead(502, { 'content-type': 'text/html' }).end('<html>Bad Gateway</html>');
    else sendJson(res, 200, PAGE);
  });
  const { client } = clientFor(t, server.baseUrl);
  await client.fetchPage(pageRequest());
  const answer = await client.fetchPage(pageRequest({ page: 2, cursor: 'c', cursorReceivedAtMs: Date.now() }));
  assert.equal(answer.kind, 'page');
});

test('a window outside of the data is recognised, as 418 and as an empty page', async (t) => {
  for (const outOfRange of ['418', 'empty'] as const) {
    const simulator = await simulatorFor(t, { outOfRange });
    const { client } = clientFor(t, simulator.baseUrl, { endpoint: 'stream' });
    const answer = await client.fetchPage(pageRequest({ sinceMs: 1_000, untilMs: 2_000 }));
    assert.equal(answer.kind, outOfRange === '418' ? 'outside-range' : 'page');
  }
});
