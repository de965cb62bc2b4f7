/** Whatever goes wrong on the way, the job loads every event exactly once, and its counts balance. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FaultKind, FaultPlan } from '../../../src/simulator/faults/fault-kinds.ts';
import { ingestAll, pageRequests, sceneFor } from '../../support/ingestion-scene.ts';
import { ingest } from '../../support/ingestion.ts';

/** Every second page request gets the next of these faults. */
function planOf(kinds: readonly FaultKind[]): FaultPlan {
  return kinds.map((fault, index) => ({ on: 'stream', nth: 2 * (index + 1), fault }));
}

void test('each kind of server error costs one request, and nothing else', async (t) => {
  const kinds: FaultKind[] = [
    '500-json',
    '500-html',
    '502-json',
    '502-html',
    '503-json',
    '503-html',
    '504-json',
    '504-html',
    '429',
  ];
  const { counts, simulator } = await ingestAll(t, {
    events: 8_000,
    faultPlan: planOf(kinds),
    burst: 1,
    burstRetryAfter: 0.2,
    latency: 2,
  });
  assert.equal(counts.inserted, 8_000);
  for (const kind of kinds) assert.equal(simulator.stats().faults[kind], 1, kind);
  assert.ok(pageRequests(simulator) < 60, `${pageRequests(simulator)} requests`);
});

void test('pages of broken connections and with cut bodies are asked for again', async (t) => {
  const kinds: FaultKind[] = [
    'reset',
    'reset-body',
    'cut-body',
    'cut-chunked',
    'cut-close',
    'close-idle',
    'redirect',
    'token',
  ];
  const { simulator } = await ingestAll(t, { events: 8_000, faultPlan: planOf(kinds), latency: 2 });
  for (const kind of kinds) assert.equal(simulator.stats().faults[kind], 1, kind);
});

void test('a page that never comes, or stops in the middle, is given up at its deadline and asked for again', async (t) => {
  await ingestAll(t, { events: 3_000, faultPlan: planOf(['hang', 'hang-body']), latency: 2 }, { PAGE_TIMEOUT: '1' });
});

void test('an answer with status 200 that is not a page is asked for again', async (t) => {
  await ingestAll(t, { events: 8_000, faultPlan: planOf(['html-200', 'empty-200', 'error-200', 'cut-chunked']) });
});

void test('envelopes that contradict themselves neither end the walk nor lose events', async (t) => {
  const faults = { 'same-cursor': 0.1, 'empty-page': 0.05, 'no-cursor': 0.1, 'stale-cursor': 0.1 };
  await ingestAll(t, { events: 10_000, faults, latency: 2 }, { BATCH_SIZE: '250' });
});

void test('without time windows, such pages are asked for again until they make sense', async (t) => {
  const faults = { 'same-cursor': 0.05, 'empty-page': 0.05, 'no-cursor': 0.05 };
  await ingestAll(t, { events: 8_000, faults, streamAccess: 'absent', seed: 3 });
});

void test('events that lack fields are stored with what they have, and are not asked for again', async (t) => {
  const { counts, simulator } = await ingestAll(
    t,
    { events: 4_000, faults: { 'missing-fields': 0.3 } },
    {},
    { values: false },
  );
  assert.equal(counts.rejected, 0);
  assert.ok(simulator.damaged().size > 0);
  assert.ok(pageRequests(simulator) < 20);
});

void test('with every kind of fault at once, and short-lived tokens and cursors, the table is still exact', async (t) => {
  const { counts } = await ingestAll(t, {
    events: 20_000,
    distribution: 'skewed',
    faults: {
      '429': 0.01,
      '500-json': 0.01,
      '502-html': 0.02,
      '503-html': 0.01,
      reset: 0.02,
      'reset-body': 0.01,
      'cut-body': 0.01,
      'cut-chunked': 0.01,
      'html-200': 0.01,
      'empty-200': 0.01,
      'error-200': 0.01,
      'stale-cursor': 0.02,
      'same-cursor': 0.02,
      'empty-page': 0.01,
      'no-cursor': 0.02,
      'close-idle': 0.05,
      token: 0.01,
    },
    burst: 2,
    burstRetryAfter: 1,
    tokenLifetime: 2,
    cursorTtl: 3,
    latency: 5,
    seed: 7,
  });
  assert.equal(counts.inserted, 20_000);
});

void test('after a bad or stale answer the request changes, so that it is not answered from the cache again', async (t) => {
  const faults = {
    'html-200': 0.05,
    'empty-200': 0.05,
    'cut-chunked': 0.05,
    'stale-cursor': 0.05,
    'same-cursor': 0.05,
  };
  await ingestAll(t, { events: 8_000, faults, cache: 30, latency: 2, seed: 5 });
});

void test('the job uses /events when stream access is absent, refused or broken', async (t) => {
  for (const streamAccess of ['absent', 'refused', 'broken'] as const) {
    const { simulator, end } = await ingestAll(t, { events: 2_000, streamAccess });
    assert.equal(simulator.stats().requests.stream, 0);
    assert.ok(end.log.some((line) => line.includes('the run goes on over /events') || line.includes('stream access')));
  }
});

for (const streamBreaksAs of ['404', '403', 'token'] as const) {
  void test(`when the stream endpoint breaks for good with ${streamBreaksAs}, the job loads the rest from /events`, async (t) => {
    const { simulator, counts } = await ingestAll(t, {
      events: 15_000,
      streamBreaksAfter: 12,
      streamBreaksAs,
      latency: 10,
    });
    assert.equal(counts.inserted, 15_000);
    const { requests } = simulator.stats();
    assert.ok(requests.events > 0 && requests.stream > 12);
  });
}

void test('with --endpoint stream, refused stream access ends the job with code 3', async (t) => {
  const scene = await sceneFor(t, { events: 100, streamAccess: 'refused' });
  assert.equal((await ingest(scene.target, { API_ENDPOINT: 'stream' })).exitCode, 3);
});

void test('a page that is too large for memory is asked for in smaller parts', async (t) => {
  // 8 MiB in flight allow pages of 2 MiB; 500 events with 8 KB each are 4 MB.
  const filler = 'x'.repeat(8_000);
  const rawEvents = Array.from({ length: 600 }, (_, index) => ({
    position: index,
    raw: JSON.stringify({
      id: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
      timestamp: 1_769_541_612_369,
      type: 'large',
      properties: { filler },
    }),
    occurredAtMicros: 1_769_541_612_369_000,
  }));
  const { simulator, end } = await ingestAll(t, { events: 1_500, rawEvents }, { MAX_BYTES_IN_FLIGHT: '8MiB' });
  assert.ok((end.snapshot.retriesByKind['too-large'] ?? 0) > 0);
  assert.ok(pageRequests(simulator) < 25, `${pageRequests(simulator)} requests`);
});
