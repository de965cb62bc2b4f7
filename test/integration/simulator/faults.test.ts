/** Contract section 7: every fault as a client sees it. */
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { z } from 'zod';
import { faultKinds, type FaultKind } from '../../../src/simulator/faults/fault-kinds.ts';
import type { Simulator, StartOptions } from '../../../src/simulator/simulator.ts';
import {
  ask,
  askEvents,
  dashboardHeaders,
  eventsOf,
  openStream,
  parsePage,
  simulatorFor,
  walk,
  type Reply,
} from '../../support/simulator-client.ts';

const record = z.record(z.string(), z.unknown());

/** Makes a simulator whose second page request has the fault. @returns it, the second request's cursor, and its answer */
async function second(
  t: TestContext,
  fault: FaultKind,
  options: StartOptions = {},
): Promise<{ simulator: Simulator; asked: string; reply: Reply }> {
  const simulator = await simulatorFor(t, { events: 1_000, faultPlan: [{ on: 'page', nth: 2, fault }], ...options });
  const first = parsePage(await askEvents(simulator, { limit: 100 }));
  const asked = first.pagination.nextCursor ?? '';
  const reply = await askEvents(simulator, { limit: 100, cursor: asked });
  assert.deepEqual(simulator.stats().faults, { [fault]: 1 });
  assert.equal((await askEvents(simulator, { limit: 100, cursor: asked })).status, fault === '429' ? 429 : 200);
  return { simulator, asked, reply };
}

for (const status of ['500', '502', '503', '504'] as const) {
  test(`${status} comes as JSON and as HTML`, async (t) => {
    const asJson = (await second(t, `${status}-json`)).reply;
    assert.equal(asJson.status, Number(status));
    JSON.parse(asJson.body.toString());
    const asHtml = (await second(t, `${status}-html`)).reply;
    assert.equal(asHtml.status, Number(status));
    assert.match(asHtml.body.toString(), /^<html>/);
  });
}

test('a 429 burst lasts several requests, whatever the budget says', async (t) => {
  const { simulator, reply } = await second(t, '429', { burst: 3 });
  assert.deepEqual([reply.status, reply.headers['retry-after']], [429, '1']);
  const statuses = [await askEvents(simulator), await askEvents(simulator)].map((r) => r.status);
  assert.deepEqual(statuses, [429, 200]);
});

test('a reset before the head leaves nothing, one inside the body leaves half', async (t) => {
  const before = (await second(t, 'reset')).reply;
  assert.deepEqual([before.status, before.error], [0, 'ECONNRESET']);
  const inside = (await second(t, 'reset-body')).reply;
  assert.deepEqual([inside.status, inside.error], [200, 'ECONNRESET']);
});

test('a cut body is revealed by Content-Length, or by nothing but its JSON', async (t) => {
  const byLength = (await second(t, 'cut-body')).reply;
  assert.equal(byLength.error, 'ECONNRESET');
  assert.ok(byLength.body.length > 1_000 && byLength.body.length < Number(byLength.headers['content-length']));
  for (const fault of ['cut-chunked', 'cut-close'] as const) {
    const { reply } = await second(t, fault);
    assert.deepEqual([reply.status, reply.error, reply.headers['content-length']], [200, null, undefined]);
    assert.equal(reply.headers['transfer-encoding'], fault === 'cut-chunked' ? 'chunked' : undefined);
    assert.throws(() => JSON.parse(reply.body.toString()), SyntaxError);
  }
});

test('cutAt says where a body is cut', async (t) => {
  const { reply } = await second(t, 'cut-chunked', { cutAt: 0 });
  assert.equal(reply.body.length, 0);
});

test('a 200 can be HTML, empty, or an error object', async (t) => {
  assert.match((await second(t, 'html-200')).reply.body.toString(), /^<html>/);
  assert.equal((await second(t, 'empty-200')).reply.body.length, 0);
  assert.match((await second(t, 'error-200')).reply.body.toString(), /^\{"error"/);
});

test('events can lack fields, the headers say so, and the rest of the page is untouched', async (t) => {
  const { simulator, reply } = await second(t, 'missing-fields');
  assert.equal(reply.headers['x-chaos-applied'], 'missingFields');
  assert.ok(reply.headers['x-chaos-description']);
  const page = parsePage(reply);
  assert.equal(page.data.length, 100);
  assert.ok(simulator.damaged().size > 20);
  const truth = Array.from(simulator.truth()).slice(100, 200);
  page.data.forEach((event, index) => {
    const whole = record.parse(JSON.parse(Buffer.from(truth[index]?.raw ?? []).toString()));
    const field = simulator.damaged().get(String(event['id']));
    assert.deepEqual(event, Object.fromEntries(Object.entries(whole).filter(([key]) => key !== field)));
  });
});

test('a cursor can be called stale before its time', async (t) => {
  assert.match((await second(t, 'stale-cursor')).reply.body.toString(), /CURSOR_EXPIRED/);
  assert.equal((await second(t, 'stale-cursor', { staleAs: '502' })).reply.status, 502);
});

test('contradictions: the same cursor again, an empty page with more, more without a cursor', async (t) => {
  const same = await second(t, 'same-cursor');
  assert.equal(parsePage(same.reply).pagination.nextCursor, same.asked);
  const empty = parsePage((await second(t, 'empty-page')).reply);
  assert.deepEqual([empty.data.length, empty.pagination.hasMore], [0, true]);
  const none = parsePage((await second(t, 'no-cursor')).reply);
  assert.deepEqual([none.data.length, none.pagination.hasMore, none.pagination.nextCursor], [100, true, null]);
});

test('a page can lose its last events while the chain goes on', async (t) => {
  const simulator = await simulatorFor(t, { events: 1_000, faultPlan: [{ on: 'page', nth: 2, fault: 'lost-events' }] });
  const pages = await walk({ limit: 100 }, (query) => askEvents(simulator, query));
  assert.equal(eventsOf(pages).length, 990);
  assert.equal(simulator.stats().eventsServed, 990);
});

test('a page can be a redirect', async (t) => {
  const { reply } = await second(t, 'redirect');
  assert.deepEqual([reply.status, reply.headers.location], [302, '/login']);
});

test('a good token can be rejected once, on the stream endpoint', async (t) => {
  const simulator = await simulatorFor(t, { events: 10, faultPlan: [{ on: 'stream', nth: 2, fault: 'token' }] });
  const stream = await openStream(simulator.baseUrl);
  assert.deepEqual([(await stream({})).status, (await stream({})).status, (await stream({})).status], [200, 401, 200]);
});

test('stream access can fail once', async (t) => {
  const simulator = await simulatorFor(t, { events: 10, faultPlan: [{ on: 'access', nth: 1, fault: '503-html' }] });
  const access = () =>
    ask(simulator.baseUrl, '/internal/dashboard/stream-access', {
      method: 'POST',
      headers: dashboardHeaders,
      body: '{}',
    });
  assert.deepEqual([(await access()).status, (await access()).status], [503, 200]);
});

for (const fault of ['hang', 'hang-body'] as const) {
  test(`${fault}: the answer does not come, and closing the simulator ends it`, async (t) => {
    const simulator = await simulatorFor(t, { events: 100, faultPlan: [{ on: 'page', nth: 1, fault }] });
    const pending = askEvents(simulator, { limit: 100 });
    const deadline = Date.now() + 10_000;
    while (simulator.log()[0]?.fault !== fault && Date.now() < deadline) await new Promise(setImmediate);
    assert.equal(simulator.stats().inFlight, 1);
    if (fault === 'hang-body') {
      // The head has come: the client sees half a page.
      const other = await askEvents(simulator, { limit: 100 });
      assert.equal(other.error, null);
    }
    await simulator.close();
    assert.notEqual((await pending).error, null);
  });
}

test('an idle connection can be closed without notice', async (t) => {
  const simulator = await simulatorFor(t, {
    events: 10,
    keepAliveSeconds: 60,
    faultPlan: [{ on: 'page', nth: 1, fault: 'close-idle' }],
  });
  const agent = new Agent({ keepAlive: true });
  t.after(() => {
    agent.destroy();
  });
  const req = request(`${simulator.baseUrl}/events`, { agent, headers: { 'X-API-Key': 'k' } });
  const closed = new Promise<void>((resolve) => {
    req.on('socket', (socket) =>
      socket.once('close', () => {
        resolve();
      }),
    );
  });
  req.on('response', (res) => {
    assert.equal(res.headers.connection, 'keep-alive');
    res.resume();
  });
  req.end();
  await once(req, 'response');
  await closed;
});

test('faults come by share, the same ones for the same seed', async (t) => {
  const faults = { '500-json': 0.1, 'html-200': 0.1, reset: 0.1 };
  const outcome = async (seed: number): Promise<string[]> => {
    const simulator = await simulatorFor(t, { events: 10, seed, faults });
    for (let n = 0; n < 200; n += 1) await askEvents(simulator);
    return simulator.log().map((entry) => entry.fault ?? '-');
  };
  const [one, same, other] = [await outcome(1), await outcome(1), await outcome(2)];
  assert.deepEqual(one, same);
  assert.notDeepEqual(one, other);
  const faulty = one.filter((fault) => fault !== '-').length;
  assert.ok(faulty > 35 && faulty < 90, String(faulty));
});

test('every kind of fault can be given by share', async (t) => {
  for (const kind of faultKinds) {
    if (kind === 'hang' || kind === 'hang-body') continue;
    const simulator = await simulatorFor(t, { events: 10, faults: { [kind]: 1 } });
    await askEvents(simulator);
    assert.equal(simulator.stats().faults[kind] ?? 0, kind === 'token' ? 0 : 1, kind);
  }
});

test('the headers of a 429 burst say that nothing remains, although the budget is not used up', async (t) => {
  const simulator = await simulatorFor(t, {
    events: 10,
    eventsLimit: 100,
    burstRetryAfter: 2,
    faultPlan: [{ on: 'page', nth: 1, fault: '429' }],
  });
  const { headers } = await askEvents(simulator);
  assert.deepEqual(
    [
      headers['x-ratelimit-limit'],
      headers['x-ratelimit-remaining'],
      headers['x-ratelimit-reset'],
      headers['retry-after'],
    ],
    ['100', '0', '2', '2'],
  );
});

test('a cut page that was cached comes back cut', async (t) => {
  const simulator = await simulatorFor(t, {
    events: 10,
    cache: 30,
    faultPlan: [{ on: 'page', nth: 1, fault: 'cut-chunked' }],
  });
  const [one, two] = [await askEvents(simulator), await askEvents(simulator)];
  assert.equal(two.headers['x-cache'], 'HIT');
  assert.ok(two.body.equals(one.body));
  assert.throws(() => JSON.parse(two.body.toString()), SyntaxError);
});
