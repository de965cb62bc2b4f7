import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pageOf, startLoading } from './setup.ts';

test('a reopened window has its bounds, a new number and nothing safe, and leaves the pass to the job', async (t) => {
  const bounds = { sinceMs: 1_000, untilMs: 5_000 };
  const { loader, merger, store, runId } = await startLoading(t, { windows: [bounds] });
  await loader.load(pageOf([{ id: 'a' }]));
  await merger().merge('a', 1);
  await store.reopenWindows(runId, [1]);
  const [window, ...others] = await store.windows(runId);
  assert.deepEqual({ sinceMs: window?.sinceMs, untilMs: window?.untilMs }, bounds);
  assert.deepEqual([window?.windowId, window?.safePages, others.length], [2, 0, 0]);
  assert.equal((await store.currentRun())?.pass, 1);
});
