import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  decide,
  isSuspicious,
  type PageOutcome,
  type PageSituation,
  type Verdict,
} from '../../../src/api/retry-policy.ts';

const usual: PageSituation = {
  endpoint: 'stream',
  cursorAgeMs: 5_000,
  cursorLifeMs: 116_000,
  bounded: false,
  suspiciousFailures: 1,
  failures: 1,
  othersServed: null,
  freeRetriesLeft: 2,
};

const answer = (status: number, apiCode: string | null = null): PageOutcome => ({ kind: 'answer', status, apiCode });

function actions(outcome: PageOutcome, changes: Partial<PageSituation> = {}): Record<string, Verdict> {
  return {
    stream: decide(outcome, { ...usual, ...changes, endpoint: 'stream' }),
    events: decide(outcome, { ...usual, ...changes, endpoint: 'events' }),
  };
}

const both = (action: Verdict): Record<string, Verdict> => ({ stream: action, events: action });

test('a 429 waits for the rate limit, whatever else is known', () => {
  assert.deepEqual(
    actions(answer(429, 'RATE_LIMIT_EXCEEDED'), { failures: 50, suspiciousFailures: 50 }),
    both('wait-for-rate-limit'),
  );
});

test('a stale or bad cursor is recognised by its status, and only where a cursor was sent', () => {
  for (const outcome of [answer(400, 'CURSOR_EXPIRED'), answer(400, 'CURSOR_INVALID'), answer(400), answer(410)]) {
    assert.deepEqual(actions(outcome), both('stale-cursor'));
    assert.deepEqual(actions(outcome, { cursorAgeMs: null }), both('give-up'));
  }
  assert.deepEqual(actions(answer(404, 'CURSOR_NOT_FOUND')), both('stale-cursor'));
});

test('401, 403 and 404 are about the token on the stream endpoint, about the key or the URL on /events', () => {
  for (const status of [401, 403]) {
    assert.deepEqual(actions(answer(status, 'INVALID_STREAM_TOKEN')), { stream: 'renew-token', events: 'refuse-key' });
  }
  assert.deepEqual(actions(answer(404)), { stream: 'renew-token', events: 'give-up' });
});

test('418 is about the window or the cursor, where one was sent', () => {
  assert.deepEqual(actions(answer(418), { bounded: true, cursorAgeMs: null }), both('outside-range'));
  assert.deepEqual(actions(answer(418)), both('outside-range'));
  assert.deepEqual(actions(answer(418), { cursorAgeMs: null }), both('give-up'));
});

test('what may be better next time is backed off from, what will not change is given up', () => {
  for (const status of [204, 206, 301, 302, 307, 408, 425, 500, 502, 503, 504, 520]) {
    assert.deepEqual(actions(answer(status, 'SOME_CODE')), both('backoff'), String(status));
  }
  for (const status of [402, 405, 406, 409, 413, 414, 415, 422, 431, 451]) {
    assert.deepEqual(actions(answer(status)), both('give-up'), String(status));
  }
  assert.deepEqual(actions({ kind: 'faulty' }), both('backoff'));
});

test('a connection that was closed before an answer is asked again at once, a bounded number of times', () => {
  const closed: PageOutcome = { kind: 'failure', failure: 'closed' };
  assert.deepEqual(actions(closed), both('again-at-once'));
  assert.deepEqual(actions(closed, { freeRetriesLeft: 0 }), both('backoff'));
  for (const failure of ['unreachable', 'cut', 'deadline', 'protocol'] as const) {
    assert.deepEqual(actions({ kind: 'failure', failure }), both('backoff'), failure);
  }
  assert.deepEqual(actions({ kind: 'failure', failure: 'untrusted' }), both('give-up'));
});

test('a 5xx that only this cursor gets is a stale cursor, after a check', () => {
  const page = answer(502);
  assert.deepEqual(actions(page), both('backoff'));
  assert.deepEqual(actions(page, { suspiciousFailures: 2 }), both('check-cursor'));
  assert.deepEqual(actions(page, { suspiciousFailures: 3, othersServed: true }), both('stale-cursor'));
  assert.deepEqual(actions(page, { suspiciousFailures: 3, othersServed: false }), both('backoff'));
  assert.deepEqual(actions(page, { suspiciousFailures: 9, othersServed: null, cursorAgeMs: null }), both('backoff'));
  assert.deepEqual(actions(answer(502, 'BAD_GATEWAY'), { suspiciousFailures: 9 }), both('backoff'));
});

test('a cursor that has outlived its life is suspected first where anchoring again is cheap', () => {
  const old = { cursorAgeMs: 120_000 };
  assert.deepEqual(actions(answer(502), old), { stream: 'stale-cursor', events: 'backoff' });
  assert.deepEqual(actions(answer(502), { cursorAgeMs: 3_100, cursorLifeMs: 3_000 }), {
    stream: 'stale-cursor',
    events: 'backoff',
  });
  assert.deepEqual(actions(answer(502), { cursorAgeMs: 110_000, cursorLifeMs: null }), {
    stream: 'stale-cursor',
    events: 'backoff',
  });
});

test('a stream endpoint that serves nobody is compared with the other one', () => {
  assert.deepEqual(actions(answer(502, 'X'), { failures: 5 }), { stream: 'check-stream', events: 'backoff' });
  assert.deepEqual(actions(answer(502, 'X'), { failures: 5, othersServed: true }), both('backoff'));
  assert.deepEqual(actions(answer(500), { failures: 5, cursorAgeMs: null }), {
    stream: 'check-stream',
    events: 'backoff',
  });
});

test('only a 5xx without a code of the API is suspicious', () => {
  assert.ok(isSuspicious(answer(502)));
  assert.ok(!isSuspicious(answer(502, 'X')) && !isSuspicious(answer(404)) && !isSuspicious({ kind: 'faulty' }));
});
