/** How answers travel: latency, compression, chunks; and what is counted of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import { ask, askEvents, eventsPath, parsePage, simulatorFor } from '../../support/simulator-client.ts';

test('latency is waited out before an answer, and grows with the page', async (t) => {
  const simulator = await simulatorFor(t, { events: 5_000, latency: 60 });
  const timed = async (limit: number): Promise<number> => {
    const start = performance.now();
    await askEvents(simulator, { limit });
    return performance.now() - start;
  };
  assert.ok((await timed(1)) >= 59);
  simulator.apply({ latency: 0, latencyPerMb: 100 });
  assert.ok((await timed(5_000)) >= 160);
});

test('bodies are compressed when asked for and allowed, with the length of what travels', async (t) => {
  const simulator = await simulatorFor(t, { events: 5_000, compression: ['gzip', 'deflate', 'br'] });
  const get = (accept: string) =>
    ask(simulator.baseUrl, eventsPath({ limit: 5_000 }), {
      headers: accept === '' ? {} : { 'Accept-Encoding': accept },
    });
  const plain = await get('');
  const eventsIn = (body: Buffer): Buffer => body.subarray(0, body.lastIndexOf(']'));
  for (const [encoding, decode] of [
    ['gzip', gunzipSync],
    ['deflate', inflateSync],
    ['br', brotliDecompressSync],
  ] as const) {
    const reply = await get(encoding);
    assert.deepEqual(
      [reply.headers['content-encoding'], Number(reply.headers['content-length'])],
      [encoding, reply.body.length],
    );
    assert.ok(eventsIn(decode(reply.body)).equals(eventsIn(plain.body)), encoding);
    assert.ok(reply.body.length < plain.body.length / 3, String(plain.body.length / reply.body.length));
  }
  simulator.apply({ compression: [] });
  assert.equal((await get('gzip')).headers['content-encoding'], undefined);
});

test('pages can come chunked', async (t) => {
  const simulator = await simulatorFor(t, { events: 100, chunked: true });
  const reply = await askEvents(simulator, { limit: 100 });
  assert.deepEqual([reply.headers['content-length'], reply.headers['transfer-encoding']], [undefined, 'chunked']);
  assert.equal(parsePage(reply).data.length, 100);
});

test('counts show how many requests were in flight at once, and what was served', async (t) => {
  const simulator = await simulatorFor(t, { events: 100, latency: 50 });
  await Promise.all(Array.from({ length: 6 }, () => askEvents(simulator, { limit: 10 })));
  const stats = simulator.stats();
  assert.equal(stats.maxInFlight, 6);
  assert.equal(stats.requests.events, 6);
  assert.equal(stats.eventsServed, 60);
  assert.equal(stats.pagesServed, 6);
});

test('every answer has a request id of its own, errors and cached pages too', async (t) => {
  const simulator = await simulatorFor(t, {
    events: 10,
    cache: 30,
    faultPlan: [{ on: 'page', nth: 2, fault: '500-html' }],
  });
  const ids = new Set<unknown>();
  for (const limit of [1, 1, 2]) ids.add((await askEvents(simulator, { limit })).headers['x-request-id']);
  assert.equal(ids.size, 3);
  assert.ok(!ids.has(undefined));
});
