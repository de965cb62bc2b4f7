import assert from 'node:assert/strict';
import { it } from 'node:test';
import { RecentWork } from '../../../../src/watch/metrics/recent-work.ts';

it('recent work keeps the last durations and the sum of all, and passes on what it gets', () => {
  const passed: unknown[][] = [];
  const work = new RecentWork();
  const observe = work.observing({ pageRequest: (...report) => passed.push(report) });
  assert.equal(work.summary().pageRequest, null);
  for (let request = 0; request < 1_000; request += 1) observe.pageRequest(request < 900 ? 10 : 1, 'stream', 200);
  for (let request = 0; request < 156; request += 1) observe.pageRequest(0.5, 'events', null);
  assert.deepEqual(work.summary().pageRequest, {
    totalSeconds: 9_178,
    p50Seconds: 0.5,
    p95Seconds: 1,
    maxSeconds: 1,
  });
  assert.equal(work.totalSeconds('pageRequest'), 9_178);
  assert.equal(passed.length, 1_156);
  assert.deepEqual(passed.at(-1), [0.5, 'events', null]);
  observe.merge(2, true);
  assert.equal(work.totalSeconds('merge'), 2);
});
