import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pageOf, startLoading } from './load-setup.ts';

test('reopened windows have their bounds, new numbers and nothing safe, and leave the pass to the job', async (t) => {
  const windows = [
    { sinceMs: 5_000, untilMs: null },
    { sinceMs: null, untilMs: 5_000 },
  ] as const;
  const { loader, merger, store, runId } = await startLoading(t, { windows });
  await loader.load(pageOf([{ id: 'a' }], { window: 2 }));
  await merger().merge('a', 1);
  await store.reopenWindows(runId, [2]);
  assert.deepEqual(
    (await store.windows(runId)).map(({ windowId, sinceMs, untilMs, safePages }) => [
      windowId,
      sinceMs,
      untilMs,
      safePages,
    ]),
    [
      [1, 5_000, null, 0],
      [3, null, 5_000, 0],
    ],
  );
  assert.equal((await store.currentRun())?.pass, 1);
});
