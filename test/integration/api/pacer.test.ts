/** The pacer over real sockets, and its queue. How much of a limit it uses is tested in virtual time, and measured by `npm run bench`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ApiClient } from '../../../src/api/api-client.ts';
import { Pacer } from '../../../src/api/pacer.ts';
import { NOTHING_SAID } from '../../../src/api/rate-limit-headers.ts';
import { GaveUpError } from '../../../src/core/errors.ts';
import { PAGE, clientFor, pageRequest, sendJson, serverFor, simulatorFor } from './api-client-setup.ts';

const CALLERS = 8;

/** Asks for the next page at once, with several callers, until the time is over. */
async function askFor(client: ApiClient, runMs: number): Promise<void> {
  const over = AbortSignal.timeout(runMs);
  const callers = Array.from({ length: CALLERS }, async (_, windowId) => {
    for (let page = 1; ; page += 1) {
      try {
        await client.fetchPage(pageRequest({ windowId, page, limit: 1 + (page % 5), signal: over }));
      } catch (error) {
        if (over.aborted) return;
        throw error;
      }
    }
  });
  await Promise.all(callers);
}

test('a fast source without a limit is not slowed', async (t) => {
  const server = await serverFor(t, (_req, res) => {
    sendJson(res, 200, PAGE);
  });
  const { client } = clientFor(t, server.baseUrl);
  await askFor(client, 2_000);
  const sent = server.requests.length;
  t.diagnostic(`${sent / 2} requests a second`);
  // Any limit that was learned by mistake would allow fewer; how many more there are is the machine's affair.
  assert.ok(sent >= 200, `${sent} requests in 2 s`);
});

test('--max-rps caps what is sent', async (t) => {
  const simulator = await simulatorFor(t, {});
  const { client } = clientFor(t, simulator.baseUrl, { maxRps: 40 });
  await askFor(client, 3_000);
  const { requestsTotal } = simulator.stats();
  assert.ok(requestsTotal >= 105 && requestsTotal <= 125, `${requestsTotal} requests in 3 s`);
});

test('answers from the cache cost nothing: they are not paced for', async (t) => {
  const simulator = await simulatorFor(t, { eventsLimit: 10, eventsWindow: 60, cache: 30 });
  const { client } = clientFor(t, simulator.baseUrl);
  // The first is served and counted; the same request again is not.
  const startedMs = performance.now();
  for (let page = 1; page <= 4; page += 1) await client.fetchPage(pageRequest({ page }));
  const tookMs = performance.now() - startedMs;
  assert.equal(simulator.stats().cacheHits, 3);
  assert.ok(tookMs < 8_000, `${tookMs} ms for one counted request and three from the cache`);
});

test('a wait that is longer than --max-wait ends with the time to come back', async (t) => {
  const simulator = await simulatorFor(t, { eventsLimit: 1, eventsWindow: 3_600 });
  const { client } = clientFor(t, simulator.baseUrl, { maxWaitMs: 1_000 });
  await client.fetchPage(pageRequest());
  await assert.rejects(client.fetchPage(pageRequest({ page: 2 })), (error: unknown) => {
    assert.ok(error instanceof GaveUpError);
    assert.match(error.message, /start again after 20\d\d-\d\d-\d\dT/);
    return true;
  });
});

test('a request that waits for its turn shows until when, and can leave', async (t) => {
  const simulator = await simulatorFor(t, { eventsLimit: 1, eventsWindow: 3_600 });
  const { client } = clientFor(t, simulator.baseUrl, { maxWaitMs: 1e8 });
  await client.fetchPage(pageRequest());
  const leave = new AbortController();
  const waiting = client.fetchPage(pageRequest({ page: 2, signal: leave.signal }));
  // The queue's head needs a moment to look at the policy.
  for (const deadline = Date.now() + 2_000; client.waiting === null && Date.now() < deadline;)
    await new Promise(setImmediate);
  const untilMs = client.waiting?.untilMs ?? 0;
  assert.ok(untilMs > Date.now() + 3_000_000, `waiting until ${untilMs}`);
  leave.abort(new Error('left'));
  await assert.rejects(waiting, /left/);
});

function pacerFor(maxWaitMs = 10_000): Pacer {
  return new Pacer({ name: 'a budget', maxRps: null, maxWaitMs });
}

test('a wall clock that goes back an hour during a pause holds nobody up', async (t) => {
  const pacer = pacerFor();
  const { signal } = new AbortController();
  pacer.answered(await pacer.turn(signal), 'served', NOTHING_SAID);
  for (let round = 1; round <= 2; round += 1) {
    pacer.pause(50);
    const waiting = Array.from({ length: 4 }, () => pacer.turn(signal));
    // Bottleneck has begun before the clock changes.
    const before = await Promise.race([
      pacerTurn(waiting),
      new Promise((resolve) => setTimeout(resolve, 20, 'queued')),
    ]);
    assert.equal(before, 'queued');
    const wall = Date.now.bind(Date);
    t.mock.method(Date, 'now', () => wall() - 3_600_000);
    const startedMs = performance.now();
    for (const turn of waiting) pacer.answered(await turn, 'served', NOTHING_SAID);
    assert.ok(performance.now() - startedMs < 5_000);
  }
  pacer.close();
});

async function pacerTurn(waiting: readonly Promise<unknown>[]): Promise<string> {
  await Promise.race(waiting);
  return 'a turn';
}

test('whoever waits gets a turn in the order of asking, and who leaves holds nobody up', async () => {
  const pacer = pacerFor();
  const { signal } = new AbortController();
  pacer.answered(await pacer.turn(signal), 'served', NOTHING_SAID);
  pacer.pause(30);
  const order: number[] = [];
  const leaving = Array.from({ length: 12 }, () => new AbortController());
  const turns = leaving.map(async (controller, number) => {
    const ticket = await pacer.turn(controller.signal);
    order.push(number);
    pacer.answered(ticket, 'served', NOTHING_SAID);
  });
  for (const number of [0, 5, 11]) leaving[number]?.abort(new Error('left'));
  const results = await Promise.allSettled(turns);
  assert.deepEqual(
    results.flatMap(({ status }, number) => (status === 'rejected' ? [number] : [])),
    [0, 5, 11],
  );
  assert.deepEqual(order, [1, 2, 3, 4, 6, 7, 8, 9, 10]);
  pacer.answered(await pacer.turn(signal), 'served', NOTHING_SAID);
  pacer.close();
});

test('a closed pacer refuses whoever waits', async () => {
  const pacer = pacerFor();
  const { signal } = new AbortController();
  const first = await pacer.turn(signal);
  const waiting = pacer.turn(signal);
  pacer.close();
  await assert.rejects(waiting, /closed/);
  pacer.answered(first, 'served', NOTHING_SAID);
});
