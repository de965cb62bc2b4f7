import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecentAsks } from '../../../../src/app/follow/recent-asks.ts';

test('no request is the same as one of the last half minute', () => {
  const asks = new RecentAsks();
  assert.deepEqual(
    [0, 5_000, 10_000].map((nowMs) => asks.limitFor(250, 'stream', nowMs)),
    [250, 249, 248],
  );
  assert.equal(asks.limitFor(250, 'stream 17', 11_000), 250);
  assert.equal(asks.limitFor(250, 'stream', 30_001), 250);
  assert.equal(asks.limitFor(250, 'stream', 30_002), 247);
});
