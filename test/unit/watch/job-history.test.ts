import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecentWork } from '../../../src/watch/metrics/recent-work.ts';
import { JobHistory } from '../../../src/watch/job-history.ts';
import { newEvents } from '../../../src/watch/page/history.js';
import { snapshotOf, START_MS } from './job-feed.ts';

const recent = new RecentWork().summary();

void test('the history of a job ends with its end, however long it is looked at after that', () => {
  const history = new JobHistory();
  history.note(snapshotOf({ fetchedEvents: 1 }), recent, START_MS);
  history.note(snapshotOf({ fetchedEvents: 2 }), recent, START_MS + 400);
  const ended = { exitCode: 0, reason: 'complete', atMs: START_MS + 500 };
  for (const seconds of [1, 2, 600]) {
    history.note(snapshotOf({ fetchedEvents: 3, ended }), recent, START_MS + seconds * 1_000);
  }
  const shown = history.rows.map(([atMs, fetched]) => [atMs - START_MS, fetched]);
  assert.deepEqual(shown, [
    [0, 1],
    [500, 3],
  ]);
});

void test('what was taken is shown as events a minute, from the first row on that has it', () => {
  const rows = [null, null, 10, 40, 40].map((taken, at) => [at * 30_000, 0, 0, 0, null, null, null, taken] as const);
  assert.deepEqual(newEvents(rows), [null, null, null, 60, 0]);
});

void test('of a job that goes on for days the last one is kept, in as many rows', () => {
  const history = new JobHistory();
  for (let second = 0; second < 3 * 86_400; second += 10) {
    history.note(snapshotOf({ fetchedEvents: second }), recent, START_MS + second * 1_000);
  }
  const [first, last] = [history.rows[0]?.[0] ?? 0, history.rows.at(-1)?.[0] ?? 0];
  assert.ok(history.rows.length <= 720);
  assert.ok(last - first >= 82_800_000 && last - first < 2 * 86_400_000, `${last - first} ms`);
});
