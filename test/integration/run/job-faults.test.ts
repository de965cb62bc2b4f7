/** Whatever goes wrong on the way: the job gets through, exactly, and its books balance. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FaultKind, FaultPlan } from '../../../src/simulator/faults/fault-kinds.ts';
import { ingestAll, ingestInto, pageRequests, sceneFor } from '../../support/ingestion-scene.ts';
import { assertExact } from '../../support/exact-target.ts';
import { ingest } from '../../support/ingestion.ts';

/** The second, fourth, sixth … page request each gets another one. */
function planOf(kinds: readonly FaultKind[]): FaultPlan {
  return kinds.map((fault, index) => ({ on: 'stream', nth: 2 * (index + 1), fault }));
}

void test('each error of the server, each on a page of its own, costs nothing but a request', async (t) => {
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
  const { books, simulator } = await ingestAll(t, {
    events: 8_000,
    faultPlan: planOf(kinds),
    burst: 1,
    burstRetryAfter: 0.2,
    latency: 2,
  });
  assert.equal(books.inserted, 8_000);
  for (const kind of kinds) assert.equal(simulator.stats().faults[kind], 1, kind);
  assert.ok(pageRequests(simulator) < 60, `${pageRequests(simulator)} requests`);
});

void test('connections that break and bodies that are cut are asked for again', async (t) => {
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

void test('answers that never come, and that stop in the middle, run into the deadline of a page', async (t) => {
  await ingestAll(t, { events: 3_000, faultPlan: planOf(['hang', 'hang-body']), latency: 2 }, { PAGE_TIMEOUT: '1' });
});

void test('a 200 that is no page is none', async (t) => {
  await ingestAll(t, { events: 8_000, faultPlan: planOf(['html-200', 'empty-200', 'error-200', 'cut-chunked']) });
});

void test('envelopes that contradict themselves end nothing and lose nothing', async (t) => {
  const faults = { 'same-cursor': 0.1, 'empty-page': 0.05, 'no-cursor': 0.1, 'stale-cursor': 0.1 };
  await ingestAll(t, { events: 10_000, faults, latency: 2 }, { BATCH_SIZE: '250' });
});

void test('the same contradictions without time windows are asked again until they make sense', async (t) => {
  const faults = { 'same-cursor': 0.05, 'empty-page': 0.05, 'no-cursor': 0.05 };
  await ingestAll(t, { events: 8_000, faults, streamAccess: 'absent', seed: 3 });
});

void test('events that lack fields are rows with what they have, and nobody is asked again for them', async (t) => {
  const { books, simulator } = await ingestAll(
    t,
    { events: 4_000, faults: { 'missing-fields': 0.3 } },
    {},
    { values: false },
  );
  assert.equal(books.rejected, 0);
  assert.ok(simulator.damaged().size > 0);
  assert.ok(pageRequests(simulator) < 20);
});

void test('every fault at once, with short tokens and cursors and a limit, still ends exact', async (t) => {
  const { books } = await ingestAll(t, {
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
  assert.equal(books.inserted, 20_000);
});

void test('answers from the cache, bad and stale ones too, are not asked for in the same words', async (t) => {
  const faults = {
    'html-200': 0.05,
    'empty-200': 0.05,
    'cut-chunked': 0.05,
    'stale-cursor': 0.05,
    'same-cursor': 0.05,
  };
  await ingestAll(t, { events: 8_000, faults, cache: 30, latency: 2, seed: 5 });
});

void test('the job goes on over /events when stream access is absent, refused or broken', async (t) => {
  for (const streamAccess of ['absent', 'refused', 'broken'] as const) {
    const { simulator, end } = await ingestAll(t, { events: 2_000, streamAccess });
    assert.equal(simulator.stats().requests.stream, 0);
    assert.ok(end.log.some((line) => line.includes('the run goes on over /events') || line.includes('stream access')));
  }
});

for (const streamBreaksAs of ['404', '403', 'token'] as const) {
  void test(`a stream endpoint that breaks for good with ${streamBreaksAs} leaves the rest to /events`, async (t) => {
    const { simulator, books } = await ingestAll(t, {
      events: 15_000,
      streamBreaksAfter: 12,
      streamBreaksAs,
      latency: 10,
    });
    assert.equal(books.inserted, 15_000);
    const { requests } = simulator.stats();
    assert.ok(requests.events > 0 && requests.stream > 12);
  });
}

void test('with --endpoint stream, a stream endpoint that is refused is exit code 3', async (t) => {
  const scene = await sceneFor(t, { events: 100, streamAccess: 'refused' });
  assert.equal((await ingest(scene.target, { API_ENDPOINT: 'stream' })).exitCode, 3);
});

void test('pages too large for memory are asked for in smaller parts', async (t) => {
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
  const scene = await sceneFor(t, { events: 1_500, rawEvents });
  const { simulator, database, end } = await ingestInto(scene, { MAX_BYTES_IN_FLIGHT: '8MiB' });
  await assertExact(database, simulator);
  assert.ok((end.snapshot.retriesByKind['too-large'] ?? 0) > 0);
  assert.ok(pageRequests(simulator) < 25, `${pageRequests(simulator)} requests`);
});
