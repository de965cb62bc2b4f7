import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PageAttempts, type Circumstances, type PageAction } from '../../../src/api/page-attempts.ts';
import type { PageFailure } from '../../../src/api/page-outcome.ts';
import type { Outcome } from '../../../src/api/retry-policy.ts';

const usual: Circumstances = {
  nowMs: 1_000,
  endpoint: 'stream',
  limit: 100,
  cursorAgeMs: 5_000,
  cursorLifeMs: null,
  bounded: false,
  endpointServedMs: 500,
  hasEverServed: true,
  hasKeyWorked: true,
  withoutPageMs: 0,
  firstContactFailed: false,
};
const events = { ...usual, endpoint: 'events' } as const;
const limits = { backoff: { baseMs: 100, capMs: 1_000 }, maxWaitMs: 60_000, canLeaveStream: true };

function failure(outcome: Outcome, fromCache = false): PageFailure {
  return {
    kind: 'failure',
    outcome,
    path: null,
    status: null,
    cameBack: '',
    requestId: null,
    fromCache,
  };
}

const answer = (status: number, apiCode: string | null = 'X'): PageFailure =>
  failure({
    kind: 'answer',
    refusal: { status, apiCode, toldWaitMs: null, remaining: null, speaksOfPace: false, maxEvents: null },
  });
const unavailable = answer(503);
const badGateway = answer(502, null);
const faulty = failure({ kind: 'faulty' });
const wordOf = (action: PageAction): string => ('why' in action ? action.why : action.kind);

test('waits grow, the third failure is worth a warning, the thirtieth ends it when others are served', () => {
  const attempts = new PageAttempts(limits);
  const served = { ...usual, endpointServedMs: 2_000 };
  for (let nth = 1; nth < 30; nth += 1) {
    const action = attempts.record(unavailable, served);
    assert.ok(action.kind === 'ask-again' && action.retry === 'server-error');
    assert.equal(action.warn, nth >= 3);
    const full = Math.min(1_000, 100 * 2 ** (nth - 1));
    assert.ok(action.waitMs >= full / 2 && action.waitMs <= full, `${nth}: ${action.waitMs}`);
  }
  assert.equal(wordOf(attempts.record(unavailable, served)), 'not-served');
});

test('a wait that would outlast --max-wait is not begun', () => {
  const attempts = new PageAttempts(limits);
  assert.equal(wordOf(attempts.record(unavailable, { ...usual, withoutPageMs: 59_960 })), 'no-page');
  assert.equal(wordOf(attempts.record(answer(429), { ...usual, withoutPageMs: 59_960 })), 'ask-again');
  assert.equal(wordOf(attempts.record(answer(429), { ...usual, withoutPageMs: 60_001 })), 'no-page');
});

test('an answer that will not change means wrong settings until something was served', () => {
  const attempts = new PageAttempts(limits);
  const untrusted = failure({ kind: 'failure', failure: 'untrusted' });
  assert.equal(wordOf(attempts.record(untrusted, { ...usual, hasEverServed: false })), 'wrong-settings');
  assert.equal(wordOf(attempts.record(untrusted, usual)), 'not-served');
  const refused = failure({ kind: 'failure', failure: 'unreachable' });
  assert.equal(wordOf(attempts.record(refused, { ...usual, firstContactFailed: true })), 'unreachable');
});

test('two refused tokens are replaced at once, from the third on the page waits', () => {
  const attempts = new PageAttempts(limits);
  const waits = Array.from({ length: 3 }, () => attempts.record(answer(401), usual)).map(
    (action) => action.kind === 'ask-again' && action.retry === 'token' && action.waitMs > 0,
  );
  assert.deepEqual(waits, [false, false, true]);
});

test('a refusal of what worked before ends it after five times in 30 s, and not before', () => {
  const events = { ...usual, endpoint: 'events', cursorAgeMs: null } as const;
  for (const [status, why] of [
    [401, 'key-refused'],
    [404, 'not-served'],
  ] as const) {
    const attempts = new PageAttempts(limits);
    const words = [0, 1_000, 3_000, 31_000, 32_000].map((afterMs) =>
      wordOf(attempts.record(answer(status), { ...events, nowMs: 1_000 + afterMs })),
    );
    assert.deepEqual(words, ['ask-again', 'ask-again', 'ask-again', 'ask-again', why]);
    const others = new PageAttempts(limits);
    for (const [nth, failed] of [
      answer(status),
      unavailable,
      ...Array.from({ length: 4 }, () => answer(status)),
    ].entries()) {
      assert.equal(wordOf(others.record(failed, { ...events, nowMs: nth * 40_000 })), 'ask-again');
    }
  }
});

test('a refusal that stays ends it sooner when there is no more time', () => {
  const attempts = new PageAttempts({ ...limits, maxWaitMs: 5_000 });
  const events = { ...usual, endpoint: 'events', cursorAgeMs: null, withoutPageMs: 4_100 } as const;
  const words = Array.from({ length: 5 }, () => wordOf(attempts.record(answer(403), events)));
  assert.deepEqual(words, ['ask-again', 'ask-again', 'ask-again', 'ask-again', 'key-refused']);
});

test('what a page failed counts no more once a new cursor was served: many pages can have one number', () => {
  const attempts = new PageAttempts(limits);
  for (let nth = 0; nth < 40; nth += 1) {
    attempts.useCursor(`cursor ${nth}`);
    attempts.begin({ limit: 100, cursor: 'c' });
    assert.equal(wordOf(attempts.record(faulty, events)), 'ask-again');
    assert.equal(attempts.begin({ limit: 100, cursor: 'c' }), 99);
    assert.equal(attempts.sent, 2);
  }
  // It is not a new one when the old one is dropped.
  for (let nth = 0; nth < 8; nth += 1) assert.equal(wordOf(attempts.record(faulty, events)), 'ask-again');
  attempts.useCursor(null);
  assert.equal(wordOf(attempts.record(faulty, events)), 'not-served');
});

test('bad pages and bad answers from a cache are asked for with one event less, ten bad pages are too many', () => {
  const attempts = new PageAttempts(limits);
  attempts.record({ ...unavailable, fromCache: true }, events);
  for (let nth = 1; nth < 10; nth += 1) assert.equal(wordOf(attempts.record(faulty, events)), 'ask-again');
  assert.equal(attempts.begin({ limit: 100, cursor: 'c' }), 90);
  assert.equal(attempts.begin({ limit: 5, cursor: 'c' }), 3);
  assert.equal(wordOf(attempts.record(faulty, events)), 'not-served');
});

test('one event is enough where no cursor serves one again', () => {
  const attempts = new PageAttempts(limits);
  attempts.record(faulty, events);
  assert.equal(attempts.begin({ limit: 2, cursor: null }), 1);
  assert.equal(attempts.begin({ limit: 2, cursor: 'c' }), 2);
});

test('a cursor is checked again three failures after the API served nobody, and not for what another cursor did', () => {
  const attempts = new PageAttempts(limits);
  attempts.useCursor('a');
  const words: string[] = [];
  for (let nth = 1; nth <= 6; nth += 1) {
    const action = attempts.record(badGateway, events);
    words.push(wordOf(action));
    if (action.kind === 'check') attempts.recordCheck(action.endpoint, false, badGateway, events);
  }
  assert.deepEqual(words, ['ask-again', 'check', 'ask-again', 'ask-again', 'check', 'ask-again']);
  assert.equal(wordOf(attempts.record(badGateway, { ...events, endpointServedMs: 2_000 })), 'stale-cursor');
  attempts.useCursor('b');
  assert.equal(wordOf(attempts.record(badGateway, { ...events, endpointServedMs: 2_000 })), 'ask-again');
});

test('the stream endpoint is left when /events works at two checks, and only where that is allowed', () => {
  for (const canLeaveStream of [true, false]) {
    const attempts = new PageAttempts({ ...limits, canLeaveStream });
    const words: string[] = [];
    for (let nth = 1; nth <= 6; nth += 1) {
      const action = attempts.record(unavailable, usual);
      words.push(wordOf(action));
      if (action.kind === 'check') words.push(wordOf(attempts.recordCheck(action.endpoint, true, unavailable, usual)));
    }
    const checks = canLeaveStream ? ['check', 'ask-again', 'check', 'stream-broken'] : ['ask-again', 'ask-again'];
    assert.deepEqual(words.slice(4), checks);
  }
});

test('a stream endpoint that refuses while /events works is left, also when no time is left for a second check', () => {
  for (const status of [403, 404]) {
    const attempts = new PageAttempts(limits);
    const checked: string[] = [];
    while (checked.at(-1) !== 'events') {
      const action = attempts.record(answer(status), usual);
      if (action.kind !== 'check') continue;
      checked.push(action.endpoint);
      attempts.recordCheck(action.endpoint, action.endpoint === 'events', answer(status), usual);
    }
    assert.equal(wordOf(attempts.record(answer(status), { ...usual, withoutPageMs: 59_999 })), 'stream-broken');
  }
});
