import assert from 'node:assert/strict';
import { test } from 'node:test';
import { giveUpError } from '../../../src/api/api-errors.ts';
import { faultyPage } from '../../../src/api/page-outcome.ts';
import { NO_CURSOR, newestEvents, type PageRequest } from '../../../src/api/page-request.ts';

const REQUEST: PageRequest = {
  windowId: 1,
  page: 7,
  limit: 1,
  ...NO_CURSOR,
  sinceMs: null,
  untilMs: null,
  signal: new AbortController().signal,
};

void test('a page that never becomes one says that a new start will not help', () => {
  const failure = { ...faultyPage('200, broken-events: Expected a key at byte 3.', null), isBroken: true };
  const error = giveUpError('not-served', REQUEST, failure, 10, { forMs: 0, allowedMs: 1 }, { key: '', address: '' });
  assert.equal(error instanceof Error && 'exitCode' in error ? error.exitCode : null, 4);
  assert.match(error.message, /page 7 of window 1/);
  assert.match(error.message, /a new start will not help/);
  assert.doesNotMatch(error.message, /start again to go on|\.\./);
});

void test('what is asked for beside all windows is named by what it is', () => {
  const limits = { forMs: 1, allowedMs: 1 };
  for (const [untilMs, named] of [
    [null, /the newest page, without a cursor/],
    [0, /the newest page up to 1970-01-01T00:00:00\.000Z, without a cursor/],
  ] as const) {
    const request = newestEvents(2_082, 250, REQUEST.signal, untilMs);
    const error = giveUpError('not-served', request, faultyPage('503', null), 3, limits, { key: '', address: '' });
    assert.match(String(error), named);
  }
});
