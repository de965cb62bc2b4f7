import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffDelayMs } from '../../../src/core/backoff.ts';

const rule = { baseMs: 500, capMs: 30_000 };

test('each wait is between half and all of twice the one before', () => {
  for (let failures = 1; failures <= 6; failures += 1) {
    const full = 500 * 2 ** (failures - 1);
    assert.equal(backoffDelayMs(failures, rule, 0), full / 2);
    assert.ok(backoffDelayMs(failures, rule, 0.999) <= full);
  }
});

test('no wait is longer than the cap, however often it failed', () => {
  for (const failures of [7, 31, 1_000, 1e9]) assert.ok(backoffDelayMs(failures, rule, 0.999) <= 30_000);
});

test('waits of callers that failed together differ', () => {
  const waits = new Set(Array.from({ length: 20 }, () => backoffDelayMs(3, rule)));
  assert.ok(waits.size > 15);
});
