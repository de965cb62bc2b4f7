import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PassProgress } from '../../../../src/app/run/pass-progress.ts';
import { NO_COUNTS, type Run } from '../../../../src/core/state.ts';

const RUN: Run = {
  runId: 1,
  source: 'http://api',
  sinceMs: null,
  untilMs: null,
  status: 'running',
  startedAtMs: 0,
  serverDateMs: null,
  pass: 1,
  passTotal: 1_000,
  knownTotal: null,
  newestMs: null,
  incrementalSinceMs: null,
  watermarkMs: null,
  lookbackMs: null,
  begunBy: null,
  placesKnown: true,
  baseTotal: null,
  baseRecent: null,
  recentPlaces: null,
  proof: null,
  counts: NO_COUNTS,
};

function progressOf(run: Partial<Run> = {}): {
  progress: PassProgress;
  counters: { fetchedEvents: number; copiedEvents: number };
} {
  const counters = { fetchedEvents: 0, copiedEvents: 0 };
  return { counters, progress: new PassProgress(counters, { ...RUN, ...run }) };
}

void test('what remains is the total less what this start fetched, and what earlier ones fetched and merged', () => {
  const { counters, progress } = progressOf({ counts: { ...NO_COUNTS, served: 400 } });
  counters.fetchedEvents = 100;
  assert.equal(progress.remainingEvents, 500);
  assert.equal(progress.load?.fetchedEvents, 100, 'only its own say how fast it is');
});

void test('what was staged and is lost remains to be fetched', () => {
  const { counters, progress } = progressOf();
  counters.fetchedEvents = 900;
  counters.copiedEvents = 800;
  assert.equal(progress.load?.remainingEvents, 100);
  counters.copiedEvents = 0;
  progress.lost(800);
  assert.equal(progress.load.remainingEvents, 900);
  assert.equal(progress.load.stagedEvents, 0);
  assert.equal(progress.load.fetchedEvents, 100);
});

void test('more events than the API said leave nothing to fetch', () => {
  const { counters, progress } = progressOf();
  counters.fetchedEvents = 1_200;
  assert.equal(progress.remainingEvents, 0);
});

void test('nobody knows what remains without a total, or when only a part of the data set is walked', () => {
  assert.equal(progressOf({ passTotal: null }).progress.load, null);
  assert.equal(progressOf({ incrementalSinceMs: 5 }).progress.load, null);
  assert.equal(progressOf({ sinceMs: 5 }).progress.remainingEvents, null);
  assert.equal(progressOf({ pass: 2 }).progress.remainingEvents, null);
});

void test('a pass that walks everything again has everything before it', () => {
  const { counters, progress } = progressOf();
  counters.fetchedEvents = 1_000;
  progress.begin(false);
  assert.equal(progress.remainingEvents, null);
  counters.fetchedEvents = 1_050;
  progress.begin(true);
  assert.equal(progress.remainingEvents, 1_000);
  counters.fetchedEvents = 1_150;
  assert.deepEqual([progress.remainingEvents, progress.load?.fetchedEvents], [900, 100]);
});
