/** Pacing over real sockets, judged by what the simulator counts. Each takes half a minute, so all run at once. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import Bottleneck from 'bottleneck';
import { ApiClient } from '../../../src/api/api-client.ts';
import { Pacer } from '../../../src/api/pacer.ts';
import { GaveUpError } from '../../../src/core/errors.ts';
import type { Simulator, StartOptions } from '../../../src/simulator/simulator.ts';
import { PAGE, clientFor, pageRequest, sendJson, serverFor, simulatorFor } from './api-client-setup.ts';

const CALLERS = 8;
const RUN_MS = 30_000;
const NAMED = { eventsLimit: 50, eventsWindow: 10 };
/**
 * What must be found out first takes a window or two of the six that the run has, and is part of its share: over ten
 * minutes of virtual time the test of the policy holds it to 90 %.
 */
const HIDDEN = { eventsLimit: 25, eventsWindow: 5, eventsHeaders: false, rateBody: false };
/** Requests a second that both allow. */
const ALLOWED_RPS = 5;

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

interface Shares {
  readonly used: number;
  readonly refused: number;
}

function sharesOf(simulator: Simulator): Shares {
  const pages = simulator.log().filter((entry) => entry.kind === 'events');
  const served = pages.filter((entry) => entry.status === 200).length;
  const refused = pages.filter((entry) => entry.status === 429).length;
  return { used: served / ((ALLOWED_RPS * RUN_MS) / 1000), refused: refused / pages.length };
}

async function measure(t: TestContext, options: StartOptions): Promise<Shares> {
  const simulator = await simulatorFor(t, {
    latency: 20,
    latencyJitter: 20,
    ...options,
  });
  const { client } = clientFor(t, simulator.baseUrl);
  await askFor(client, RUN_MS);
  const shares = sharesOf(simulator);
  t.diagnostic(`used ${(shares.used * 100).toFixed(1)} %, refused ${(shares.refused * 100).toFixed(2)} %`);
  return shares;
}

describe('as the API counts', { concurrency: true }, () => {
  for (const rateWindow of ['fixed', 'sliding'] as const) {
    for (const rateReset of ['seconds', 'epoch'] as const) {
      test(`a named limit in ${rateWindow} windows, reset as ${rateReset}, is used, with at most 1 % refused`, async (t) => {
        const { used, refused } = await measure(t, { ...NAMED, rateWindow, rateReset });
        // 97 % is what the policy is held to, in virtual time; here a busy machine has a share in it.
        assert.ok(used >= 0.85, `${used} used`);
        assert.ok(refused <= 0.01, `${refused} refused`);
      });
    }
    for (const retryAfter of ['seconds', 'date', 'missing'] as const) {
      test(`a hidden limit in ${rateWindow} windows, Retry-After ${retryAfter}, is used to 85 % while it is being found out`, async (t) => {
        const { used } = await measure(t, { ...HIDDEN, rateWindow, retryAfter });
        assert.ok(used >= 0.85, `${used} used`);
      });
    }
  }

  test('a limit that is lowered and raised during the run is kept and used', async (t) => {
    const simulator = await simulatorFor(t, { eventsLimit: 50, eventsWindow: 5, latency: 5 });
    const { client } = clientFor(t, simulator.baseUrl);
    const served: number[] = [];
    for (const eventsLimit of [50, 10, 50]) {
      simulator.apply({ eventsLimit });
      const before = simulator.stats().pagesServed;
      await askFor(client, 10_000);
      served.push(simulator.stats().pagesServed - before);
    }
    const { rateLimited } = simulator.stats();
    t.diagnostic(`served in 10 s each: ${served.join(', ')} of 100, 20, 100; ${rateLimited} refused`);
    // The lowered limit meets a window that is used up already. How much of ten seconds a busy machine gets to use is another
    // matter: in virtual time the test of the policy holds it to 88 %.
    assert.ok((served[0] ?? 0) >= 60 && (served[1] ?? 0) >= 10 && (served[1] ?? 0) <= 30, served.join(', '));
    assert.ok((served[2] ?? 0) >= 50, served.join(', '));
    assert.ok(rateLimited <= 3, `${rateLimited} refused`);
  });
});

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

test('a queue in which nothing starts is replaced, and everybody gets a turn', async () => {
  let queues = 0;
  let stalled = 0;
  const pacer = new Pacer({
    name: 'a budget',
    maxRps: 100,
    maxWaitMs: 10_000,
    stalledAfterMs: 100,
    onStalled: (queued) => (stalled = queued),
    // The first queue is stuck as Bottleneck's can get: its reservoir is empty and nothing fills it.
    createQueue: () => new Bottleneck({ maxConcurrent: 1, ...(queues++ === 0 ? { reservoir: 0 } : {}) }),
  });
  const { signal } = new AbortController();
  const notice = { limit: null, remaining: null, resetMs: null, retryAfterMs: null };
  pacer.answered(await pacer.turn(signal), 'served', notice);
  const turns = await Promise.all(Array.from({ length: 20 }, () => pacer.turn(signal)));
  assert.equal(turns.length, 20);
  assert.ok(stalled >= 10, `${stalled} were found waiting`);
  assert.equal(queues, 2);
  pacer.close();
});
