/**
 * A million events from an API at its worst: one response in ten is faulty, tokens live 2 s, cursors 3 s, and the limit
 * changes while the job runs. The table must be exact, within a bound of requests. `npm run test:soak` takes minutes.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertExact } from '../support/exact-target.ts';
import { ingestInto, pageRequests, sceneFor } from '../support/ingestion-scene.ts';

const EVENTS = 1_000_000;
const PAGE_SIZE = 1_000;
const PAGES = EVENTS / PAGE_SIZE;
/**
 * Each faulty response costs a request. A contradiction or a dead cursor also costs the request that was asked ahead, each
 * window costs a page, and a new limit costs some 429s until it is learned. With one faulty response in ten, a quarter more
 * requests than pages are enough.
 */
const MAX_REQUESTS = PAGES * 1.25;
/** Requests in two seconds; the limits take turns. */
const LIMITS = [200, 60, 400, 100, 0, 150];
const LIMIT_WINDOW_SECONDS = 2;
const CHANGE_LIMIT_EVERY_MS = 4_000;

const FAULTS = {
  '429': 0.004,
  '500-json': 0.008,
  '502-html': 0.008,
  '503-html': 0.004,
  '504-json': 0.004,
  reset: 0.01,
  'reset-body': 0.005,
  'cut-body': 0.008,
  'cut-chunked': 0.008,
  'html-200': 0.005,
  'empty-200': 0.005,
  'error-200': 0.005,
  'stale-cursor': 0.006,
  'same-cursor': 0.005,
  'empty-page': 0.003,
  'no-cursor': 0.005,
  'close-idle': 0.004,
  token: 0.003,
};

for (const distribution of ['uniform', 'skewed'] as const) {
  void test(`a million ${distribution} events from an API at its worst are all in the table`, async (t) => {
    const share = Object.values(FAULTS).reduce((sum, of) => sum + of, 0);
    assert.ok(share >= 0.099, `${share} of all responses are faulty`);
    const scene = await sceneFor(t, {
      events: EVENTS,
      distribution,
      faults: FAULTS,
      burst: 2,
      burstRetryAfter: 1,
      tokenLifetime: 2,
      cursorTtl: 3,
      streamLimit: LIMITS[0] ?? 0,
      streamWindow: LIMIT_WINDOW_SECONDS,
      latency: 30,
      latencyJitter: 30,
    });
    const { simulator } = scene;
    let turn = 0;
    const changing = setInterval(() => {
      turn += 1;
      simulator.apply({ streamLimit: LIMITS[turn % LIMITS.length] ?? 0 });
    }, CHANGE_LIMIT_EVERY_MS);
    t.after(() => {
      clearInterval(changing);
    });
    const { counts, end } = await ingestInto(scene, { BATCH_SIZE: String(PAGE_SIZE), WORKER_CONCURRENCY: '8' });
    clearInterval(changing);
    const { seconds, requests } = end.report ?? { seconds: 0, requests: 0 };
    t.diagnostic(
      JSON.stringify({
        seconds: Math.round(seconds),
        limitsChanged: turn,
        pageRequests: pageRequests(simulator),
        requests,
        statuses: simulator.stats().statuses,
        staleCursors: simulator.stats().staleCursors,
        retries: end.snapshot.retriesByKind,
        passes: counts.pass,
        duplicates: counts.duplicates,
      }),
    );
    await assertExact(scene);
    assert.equal(counts.inserted, EVENTS);
    assert.ok(turn > 2, 'the limit did change');
    assert.ok(pageRequests(simulator) <= MAX_REQUESTS, `${pageRequests(simulator)} requests for ${PAGES} pages`);
  });
}
