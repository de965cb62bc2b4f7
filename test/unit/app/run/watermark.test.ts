import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clockAt, newestBelievable } from '../../../../src/app/run/watermark.ts';

const NOW = Date.UTC(2026, 0, 27, 19, 20, 12);

function times(newestMs: number, lastMs: number) {
  return { newestMs, oldestMs: lastMs, lastMs, tailNewestMs: lastMs, descending: true };
}

void test('the newest time is believed up to the clock of the API', () => {
  assert.equal(newestBelievable(times(NOW - 5_000, NOW - 90_000), NOW), NOW - 5_000);
});

void test('within the second that the clock cuts off, the clock is taken', () => {
  assert.equal(newestBelievable(times(NOW + 600, NOW - 90_000), NOW), NOW);
});

void test('an event from 2099 hides nothing: the last time of its page is taken', () => {
  assert.equal(newestBelievable(times(Date.UTC(2099, 0, 1), NOW - 90_000), NOW), NOW - 90_000);
});

void test('a page of nothing but the future says nothing of how new the data is', () => {
  assert.equal(newestBelievable(times(Date.UTC(2099, 0, 1), Date.UTC(2098, 0, 1)), NOW), null);
});

void test('where the API does not say how late it is, our clock does', () => {
  assert.equal(clockAt({ serverDateMs: NOW, receivedAtMs: NOW + 7_000 }), NOW);
  assert.equal(clockAt({ serverDateMs: null, receivedAtMs: NOW }), NOW);
});
