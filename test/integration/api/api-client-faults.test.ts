/** Everything that section 7 of the API contract says goes wrong, over real sockets, alone and mixed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import type { ApiClient } from '../../../src/api/api-client.ts';
import { ConfigurationError, GaveUpError, KeyRefusedError } from '../../../src/core/errors.ts';
import type { FaultKind } from '../../../src/simulator/faults/fault-kinds.ts';
import {
  KEY,
  PAGE,
  clientFor,
  pageOf,
  pageRequest,
  sendJson,
  serverFor,
  simulatorFor,
  textOf,
} from './api-client-setup.ts';

const pageSchema = z.object({
  data: z.array(z.object({ id: z.string() })),
  pagination: z.object({ hasMore: z.boolean(), nextCursor: z.string().nullable() }),
});

/** The page as a worker would find it; `null` when it is none. */
function parsePage(text: string): z.output<typeof pageSchema> | null {
  try {
    return pageSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** Walks the data set by its cursors and returns every id, in order. */
async function walk(client: ApiClient, limit: number): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | null = null;
  let cursorReceivedAtMs: number | null = null;
  for (let page = 1; ;) {
    const request = pageRequest({ page, limit, cursor, cursorReceivedAtMs });
    const raw = pageOf(await client.fetchPage(request));
    const parsed = parsePage(textOf(raw));
    if (parsed === null) {
      await client.reportFaultyPage(request, 'cut-body', 'it cannot be parsed');
      continue;
    }
    const { hasMore, nextCursor } = parsed.pagination;
    ids.push(...parsed.data.map(({ id }) => id));
    if (!hasMore) return ids;
    cursor = nextCursor;
    cursorReceivedAtMs = raw.receivedAtMs;
    page += 1;
  }
}

const RECOVERED: readonly (readonly [FaultKind, string])[] = [
  ['429', 'rate-limit'],
  ['500-json', 'server-error'],
  ['500-html', 'server-error'],
  ['502-json', 'server-error'],
  ['502-html', 'server-error'],
  ['503-json', 'server-error'],
  ['503-html', 'server-error'],
  ['504-json', 'server-error'],
  ['504-html', 'server-error'],
  ['reset', 'closed-connection'],
  ['reset-body', 'transport'],
  ['cut-body', 'transport'],
  ['cut-chunked', 'faulty-page'],
  ['cut-close', 'faulty-page'],
  ['html-200', 'faulty-page'],
  ['empty-200', 'faulty-page'],
  ['hang', 'transport'],
  ['hang-body', 'transport'],
  ['redirect', 'server-error'],
];

for (const [fault, kind] of RECOVERED) {
  test(`a page that meets ${fault} is asked for again and comes whole`, async (t) => {
    const simulator = await simulatorFor(t, {
      faultPlan: [{ on: 'page', nth: 2, fault }],
      burst: 1,
      burstRetryAfter: 0.05,
    });
    // A busy machine takes a while for an answer that comes: only what never comes is waited for so shortly.
    const isNever = fault === 'hang' || fault === 'hang-body';
    const { client, traces } = clientFor(t, simulator.baseUrl, isNever ? { pageTimeoutMs: 1_500 } : {});
    const ids = await walk(client, 300);
    assert.deepEqual(
      ids,
      Array.from(simulator.truth(), ({ id }) => id),
    );
    assert.deepEqual(traces.retries, { [kind]: 1 });
    assert.equal(simulator.stats().faults[fault], 1);
  });
}

test('a kept-alive connection that the server closed between requests costs no backoff', async (t) => {
  const simulator = await simulatorFor(t, { faults: { 'close-idle': 1 } });
  const { client, traces } = clientFor(t, simulator.baseUrl, { backoff: { baseMs: 5_000, capMs: 5_000 } });
  const startedMs = performance.now();
  await walk(client, 100);
  assert.ok(performance.now() - startedMs < 4_000);
  assert.equal(Object.keys(traces.retries).filter((kind) => kind !== 'closed-connection').length, 0);
});

test('with every fault at once the walk is complete and exact, and each fault costs about one more request', async (t) => {
  const kinds = RECOVERED.map(([kind]) => kind);
  const simulator = await simulatorFor(t, {
    events: 2_000,
    faults: Object.fromEntries([...kinds, 'close-idle'].map((kind) => [kind, 0.3 / kinds.length])),
    burst: 1,
    burstRetryAfter: 0.02,
  });
  const { client } = clientFor(t, simulator.baseUrl, { pageTimeoutMs: 300 });
  const ids = await walk(client, 25);
  assert.deepEqual(
    ids,
    Array.from(simulator.truth(), ({ id }) => id),
  );
  const { requestsTotal, faults } = simulator.stats();
  const faulty = Object.values(faults).reduce((sum, n) => sum + n, 0);
  t.diagnostic(`${requestsTotal} requests for 80 pages, ${faulty} of them faulty`);
  assert.ok(faulty >= 15);
  // A suspicion against a cursor costs a check now and then.
  assert.ok(requestsTotal <= 80 + faulty * 1.3 + 5, `${requestsTotal}`);
});

test('a page that takes its time is waited for, up to the deadline that covers its whole body', async (t) => {
  const server = await serverFor(t, (_req, res, nth) => {
    res.writeHead(200, { 'content-type': 'application/json' });
    if (nth > 1) {
      res.end(PAGE);
      return;
    }
    // Never silent for long, and never done.
    const drip = setInterval(() => res.write(' '), 20);
    res.on('close', () => {
      clearInterval(drip);
    });
  });
  const { client, traces } = clientFor(t, server.baseUrl, { pageTimeoutMs: 300 });
  pageOf(await client.fetchPage(pageRequest()));
  assert.deepEqual(traces.retries, { transport: 1 });
  assert.match(traces.log, /bytes of the body had come/);
});

test('a redirect is never followed', async (t) => {
  const thief = await serverFor(t, (_req, res) => {
    sendJson(res, 200, PAGE);
  });
  const server = await serverFor(t, (_req, res, nth) => {
    if (nth === 1) res.writeHead(307, { location: `${thief.origin}/api/v1/events` }).end();
    else sendJson(res, 200, PAGE);
  });
  const { client } = clientFor(t, server.baseUrl);
  pageOf(await client.fetchPage(pageRequest()));
  assert.equal(thief.requests.length, 0);
});

test('a bad page from the cache is asked for differently', async (t) => {
  const simulator = await simulatorFor(t, { cache: 30, faultPlan: [{ on: 'page', nth: 1, fault: 'html-200' }] });
  const { client } = clientFor(t, simulator.baseUrl);
  pageOf(await client.fetchPage(pageRequest({ limit: 100 })));
  assert.deepEqual(
    simulator.log().map(({ limit }) => limit),
    [100, 99],
  );
});

test('a fault that a worker found counts like any other, asks for less, and ends when it stays', async (t) => {
  const simulator = await simulatorFor(t, { faults: { 'error-200': 1 } });
  const { client, traces } = clientFor(t, simulator.baseUrl);
  const request = pageRequest({ windowId: 7, page: 3 });
  const giveUp = async (): Promise<void> => {
    for (;;) {
      pageOf(await client.fetchPage(request));
      await client.reportFaultyPage(request, 'error-object', 'the page is an error object: INTERNAL');
    }
  };
  await assert.rejects(giveUp, (error: unknown) => {
    assert.ok(error instanceof GaveUpError);
    assert.match(error.message, /page 3 of window 7.*10 times.*error-object.*INTERNAL.*start again/s);
    assert.equal(error.location.attempts, 10);
    return true;
  });
  const limits = simulator.log().map(({ limit }) => limit);
  assert.deepEqual(limits.slice(0, 4), [100, 99, 98, 97]);
  assert.equal(traces.retries['faulty-page'], 9);
});

test('an outage that outlasts --max-wait ends with a message that says what was asked and what came back', async (t) => {
  const server = await serverFor(t, (_req, res, nth) => {
    if (nth === 1) sendJson(res, 200, PAGE);
    else
      sendJson(res, 503, JSON.stringify({ code: 'DOWN', message: `for ${KEY} ${'ü'.repeat(300)}`, requestId: 'r-1' }));
  });
  const { client } = clientFor(t, server.baseUrl, { maxWaitMs: 500 });
  pageOf(await client.fetchPage(pageRequest()));
  const request = pageRequest({ windowId: 4, page: 12, cursor: 'abc', cursorReceivedAtMs: Date.now() - 12_000 });
  await assert.rejects(client.fetchPage(request), (error: unknown) => {
    assert.ok(error instanceof GaveUpError);
    assert.match(error.message, /page 12 of window 4 \(GET \/api\/v1\/events\), with a cursor 1[23] s old/);
    assert.match(error.message, /503 DOWN \(request id r-1\)/);
    assert.match(error.message, /\d+ times/);
    assert.ok(!error.message.includes(KEY));
    assert.equal(error.location.status, 503);
    assert.equal(error.location.requestId, 'r-1');
    return true;
  });
});

test('a Retry-After of a 503 is obeyed by everybody', async (t) => {
  const times: number[] = [];
  const server = await serverFor(t, (_req, res, nth) => {
    times.push(performance.now());
    if (nth === 2) sendJson(res, 503, '{}', { 'retry-after': '1' });
    else sendJson(res, 200, PAGE);
  });
  const { client } = clientFor(t, server.baseUrl);
  await client.fetchPage(pageRequest());
  await client.fetchPage(pageRequest({ page: 2 }));
  assert.ok((times[2] ?? 0) - (times[1] ?? 0) >= 990);
});

test('what is refused at the first contact is not asked for again', async (t) => {
  for (const [status, kind] of [
    [401, KeyRefusedError],
    [403, KeyRefusedError],
    [404, ConfigurationError],
    [405, ConfigurationError],
    [451, ConfigurationError],
  ] as const) {
    const server = await serverFor(t, (_req, res) => {
      sendJson(res, status, '{"code":"NO"}');
    });
    const { client } = clientFor(t, server.baseUrl);
    await assert.rejects(client.fetchPage(pageRequest()), kind);
    assert.equal(server.requests.length, 1, String(status));
  }
});

test('an API that was never reached is tried for a while, and then it is a matter of configuration', async (t) => {
  const server = await serverFor(t, () => undefined);
  const nowhere = server.baseUrl.replace(/:\d+/, ':1');
  for (const endpoint of ['events', 'auto'] as const) {
    const { client } = clientFor(t, nowhere, { endpoint, firstContactMs: 200 });
    const contact = async (): Promise<void> => {
      await client.open();
      await client.fetchPage(pageRequest());
    };
    await assert.rejects(contact, (error: unknown) => {
      assert.ok(error instanceof ConfigurationError);
      assert.match(error.message, /ECONNREFUSED.*API_BASE_URL/s);
      return true;
    });
  }
});

test('a request ends with the reason of its signal, wherever it is', async (t) => {
  const server = await serverFor(t, (_req, res, nth) => {
    if (nth === 2) res.writeHead(200, { 'content-length': '100' }).write('{');
    if (nth > 2) sendJson(res, 500, '{}');
  });
  const { client } = clientFor(t, server.baseUrl, { backoff: { baseMs: 60_000, capMs: 60_000 } });
  for (let page = 1; page <= 3; page += 1) {
    const leave = new AbortController();
    const asked = client.fetchPage(pageRequest({ page, signal: leave.signal }));
    const deadline = Date.now() + 3_000;
    while (server.requests.length < page && Date.now() < deadline) await new Promise(setImmediate);
    leave.abort(new Error('asked to stop'));
    await assert.rejects(asked, /asked to stop/);
  }
});

for (const { what, status, headers, askedByApi } of [
  { what: 'the pause after a failure', status: 503, headers: {}, askedByApi: false },
  { what: 'a Retry-After', status: 429, headers: { 'retry-after': '60' }, askedByApi: true },
]) {
  test(`${what} is ${askedByApi ? '' : 'not '}a wait that the API asked for`, async (t) => {
    const server = await serverFor(t, (_req, res) => {
      sendJson(res, status, '{}', headers);
    });
    const { client } = clientFor(t, server.baseUrl, {
      endpoint: 'events',
      maxWaitMs: 600_000,
      backoff: { baseMs: 60_000, capMs: 60_000 },
    });
    const leave = new AbortController();
    const asked = client.fetchPage(pageRequest({ signal: leave.signal }));
    for (const deadline = Date.now() + 5_000; client.waiting === null && Date.now() < deadline;)
      await new Promise(setImmediate);
    assert.equal(client.waiting?.askedByApi, askedByApi);
    leave.abort(new Error('seen'));
    await assert.rejects(asked, /seen/);
  });
}
