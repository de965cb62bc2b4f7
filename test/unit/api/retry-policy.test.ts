/** The table of retry-policy.ts, row by row: each case names what is judged and what comes of it on both endpoints. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Refusal } from '../../../src/api/refusal.ts';
import {
  isAboutPace,
  isSuspicious,
  judge,
  type Outcome,
  type Situation,
  type Verdict,
} from '../../../src/api/retry-policy.ts';

/** A page with a young cursor, of an API that has served before. */
const usual: Situation = {
  endpoint: 'stream',
  limit: 5_000,
  cursorAgeMs: 5_000,
  cursorLifeMs: 116_000,
  bounded: false,
  hasKeyWorked: true,
  hasPathWorked: true,
  suspiciousFailures: 1,
  failures: 1,
  tokensRefused: 1,
  refusals: 1,
  refusedForMs: 0,
  isLastTry: false,
  othersServed: null,
  freeRetriesLeft: 2,
};
const noCursor = { cursorAgeMs: null, cursorLifeMs: null };
const firstContact = { ...noCursor, hasKeyWorked: false, hasPathWorked: false };
const longRefused = { refusals: 5, refusedForMs: 30_000, othersServed: false, tokensRefused: 5, failures: 4 };

function refusal(status: number, says: Partial<Refusal> = {}): Refusal {
  return { status, apiCode: null, toldWaitMs: null, remaining: null, speaksOfPace: false, maxEvents: null, ...says };
}

const answer = (status: number, says: Partial<Refusal> = {}): Outcome => ({
  kind: 'answer',
  refusal: refusal(status, says),
});

function verdicts(outcome: Outcome, changes: Partial<Situation> = {}): Record<'stream' | 'events', Verdict> {
  return {
    stream: judge(outcome, { ...usual, ...changes, endpoint: 'stream' }),
    events: judge(outcome, { ...usual, ...changes, endpoint: 'events' }),
  };
}

const both = (verdict: Verdict): Record<'stream' | 'events', Verdict> => ({ stream: verdict, events: verdict });

test('later: a 429, whatever else is known', () => {
  assert.deepEqual(verdicts(answer(429), { ...longRefused, failures: 50, suspiciousFailures: 50 }), both('later'));
  assert.deepEqual(verdicts(answer(429), firstContact), both('later'));
});

test('later: a 401 or 403 that tells a wait, has nothing left, or speaks of too many requests', () => {
  for (const status of [401, 403]) {
    for (const says of [{ toldWaitMs: 1_000 }, { remaining: 0 }, { speaksOfPace: true }]) {
      assert.deepEqual(verdicts(answer(status, says)), both('later'));
      assert.deepEqual(verdicts(answer(status, says), firstContact), both('later'));
    }
    assert.ok(!isAboutPace(refusal(status)) && !isAboutPace(refusal(status, { remaining: 3 })));
  }
});

test('later: words of too many requests under any other status; a wait alone does not say that we were too fast', () => {
  for (const status of [400, 420, 430, 503, 509]) {
    assert.deepEqual(verdicts(answer(status, { speaksOfPace: true })), both('later'), String(status));
  }
  for (const status of [200, 302, 404, 503]) assert.ok(!isAboutPace(refusal(status, { toldWaitMs: 1_000 })));
});

test('smaller-page: 413, 414 and a limit that the API names, unless it is not below what was asked for', () => {
  for (const status of [413, 414]) assert.deepEqual(verdicts(answer(status)), both('smaller-page'));
  for (const status of [400, 413, 416, 422]) {
    assert.deepEqual(verdicts(answer(status, { maxEvents: 1_000 })), both('smaller-page'), String(status));
    assert.deepEqual(verdicts(answer(status, { maxEvents: 1_000 }), firstContact), both('smaller-page'));
  }
  assert.deepEqual(verdicts(answer(422, { maxEvents: 5_000 })), both('again'));
  assert.deepEqual(verdicts(answer(413), { limit: 1 }), both('again'));
  assert.deepEqual(verdicts(answer(503, { maxEvents: 1_000 })), both('again'));
});

test('outside-range: a 418 beside bounds or a cursor', () => {
  assert.deepEqual(verdicts(answer(418), { ...noCursor, bounded: true }), both('outside-range'));
  assert.deepEqual(verdicts(answer(418)), both('outside-range'));
  assert.deepEqual(verdicts(answer(418), noCursor), both('again'));
});

test('new-anchor: a cursor that is refused by name or with 410; with a bare 400 where a new anchor is cheap', () => {
  for (const outcome of [answer(400, { apiCode: 'CURSOR_EXPIRED' }), answer(404, { apiCode: 'CURSOR_NOT_FOUND' })]) {
    assert.deepEqual(verdicts(outcome), both('new-anchor'));
  }
  const inOtherWords = { apiCode: 'CURSOR_EXPIRED', maxEvents: 120, speaksOfPace: true };
  assert.deepEqual(verdicts(answer(400, inOtherWords)), both('new-anchor'), 'a limit of its age, or of requests');
  assert.deepEqual(verdicts(answer(410)), both('new-anchor'));
  assert.deepEqual(verdicts(answer(400)), { stream: 'new-anchor', events: 'again' });
  assert.deepEqual(verdicts(answer(410), noCursor), both('again'));
  assert.deepEqual(verdicts(answer(503, { apiCode: 'CURSOR_STORE_DOWN' })), both('again'));
});

test('new-token, other-endpoint: 401, 403 and 404 of the stream endpoint are about its token and its path', () => {
  for (const status of [401, 403, 404]) {
    const on = (changes: Partial<Situation>): Verdict => verdicts(answer(status), changes).stream;
    assert.equal(on({ tokensRefused: 1 }), 'new-token');
    assert.equal(on({ tokensRefused: 2 }), 'new-token');
    assert.equal(on({ tokensRefused: 3 }), 'again');
    assert.equal(on({ tokensRefused: 1, ...noCursor, hasPathWorked: false }), 'new-token');
    assert.equal(on({ tokensRefused: 2, ...noCursor, hasPathWorked: false }), 'other-endpoint');
  }
});

test('end-for-key: a key that was refused at the first contact', () => {
  for (const status of [401, 403]) assert.equal(verdicts(answer(status), firstContact).events, 'end-for-key');
});

test('end-for-key: beside a cursor, only when a request without one was refused as well', () => {
  const resumed = { hasKeyWorked: false, hasPathWorked: false };
  for (const status of [401, 403]) {
    const on = (changes: Partial<Situation>) => verdicts(answer(status), { ...resumed, ...changes }).events;
    assert.equal(on({ suspiciousFailures: 1 }), 'again');
    assert.equal(on({ suspiciousFailures: 2 }), 'check-cursor');
    assert.equal(on({ suspiciousFailures: 3, othersServed: false }), 'end-for-key');
    assert.equal(on({ suspiciousFailures: 3, othersServed: true, hasKeyWorked: true }), 'new-anchor');
  }
});

test('end: what was refused at the first contact, unless it is a state of the moment or a cursor may be the reason', () => {
  for (const status of [400, 402, 404, 405, 406, 410, 415, 418, 420, 422, 430, 431, 451]) {
    const verdict = status === 404 ? 'new-token' : 'other-endpoint';
    assert.deepEqual(verdicts(answer(status), firstContact), { stream: verdict, events: 'end' }, String(status));
    assert.notEqual(verdicts(answer(status), { ...firstContact, cursorAgeMs: 9 }).events, 'end', String(status));
  }
  for (const status of [408, 409, 423, 425, 499]) {
    assert.deepEqual(verdicts(answer(status), firstContact), both('again'), String(status));
  }
});

test('end: access to the stream that was never granted', () => {
  const access = { endpoint: 'access', ...noCursor, hasPathWorked: false } as const;
  for (const status of [400, 401, 403, 404]) {
    const hasKeyWorked = status !== 401;
    assert.match(judge(answer(status), { ...usual, ...access, hasKeyWorked }), /^end/);
    assert.equal(judge(answer(status), { ...usual, ...access, hasKeyWorked: true, hasPathWorked: true }), 'again');
  }
});

test('again: whatever was refused that worked a moment ago', () => {
  for (const status of [402, 404, 405, 406, 409, 415, 420, 422, 423, 430, 431, 451, 499]) {
    assert.equal(verdicts(answer(status)).events, 'again', String(status));
    assert.equal(verdicts(answer(status), noCursor).events, 'again', String(status));
  }
  for (const status of [401, 403]) {
    assert.equal(verdicts(answer(status)).events, 'again');
    // The key has worked on the other endpoint.
    assert.equal(verdicts(answer(status), { ...noCursor, hasPathWorked: false }).events, 'again');
  }
});

test('again: what comes from the server, from between, or is no page', () => {
  for (const status of [206, 301, 302, 307, 408, 425, 500, 502, 503, 504, 520]) {
    assert.deepEqual(verdicts(answer(status, { apiCode: 'SOME_CODE' })), both('again'), String(status));
    assert.deepEqual(verdicts(answer(status), firstContact), both('again'), String(status));
  }
  assert.deepEqual(verdicts({ kind: 'faulty' }), both('again'));
});

test('end-for-key, end: a refusal that stays, five times and for 30 s, or as long as there is time', () => {
  const on = (status: number, changes: Partial<Situation>): Verdict =>
    verdicts(answer(status), { ...noCursor, ...longRefused, ...changes }).events;
  assert.equal(on(401, {}), 'end-for-key');
  assert.equal(on(403, { refusedForMs: 0, isLastTry: true }), 'end-for-key');
  assert.equal(on(403, { refusals: 4 }), 'again');
  assert.equal(on(403, { refusedForMs: 29_999 }), 'again');
  assert.equal(on(404, {}), 'end');
  // Others are served with the same key.
  assert.equal(on(403, { othersServed: true }), 'end');
  assert.equal(on(409, {}), 'again');
});

test('new-anchor, check-cursor: a failure that only this cursor gets, after a check', () => {
  for (const outcome of [answer(502), answer(405), answer(422, { apiCode: 'X' })]) {
    assert.deepEqual(verdicts(outcome), both('again'));
    assert.deepEqual(verdicts(outcome, { suspiciousFailures: 2 }), both('check-cursor'));
    assert.deepEqual(verdicts(outcome, { suspiciousFailures: 3, othersServed: true }), both('new-anchor'));
    assert.deepEqual(verdicts(outcome, { suspiciousFailures: 3, othersServed: false }), both('again'));
    assert.deepEqual(verdicts(outcome, { suspiciousFailures: 9, ...noCursor }), both('again'));
  }
  assert.deepEqual(verdicts(answer(502, { apiCode: 'BAD_GATEWAY' }), { suspiciousFailures: 9 }), both('again'));
  assert.ok(isSuspicious(answer(502)) && isSuspicious(answer(405)));
  assert.ok(
    !isSuspicious(answer(502, { apiCode: 'X' })) && !isSuspicious(answer(409)) && !isSuspicious({ kind: 'faulty' }),
  );
});

test('new-anchor: a cursor that has outlived its life, where a new anchor is cheap', () => {
  const old: readonly Partial<Situation>[] = [
    { cursorAgeMs: 120_000 },
    { cursorAgeMs: 3_100, cursorLifeMs: 3_000 },
    { cursorAgeMs: 110_000, cursorLifeMs: null },
  ];
  for (const changes of old) {
    assert.deepEqual(verdicts(answer(502), changes), { stream: 'new-anchor', events: 'again' });
  }
});

test('check-stream: five failures of a stream endpoint that serves nobody', () => {
  for (const status of [302, 403, 405, 500, 502]) {
    const failing = { failures: 5, tokensRefused: 5, ...noCursor };
    assert.deepEqual(verdicts(answer(status), failing), { stream: 'check-stream', events: 'again' }, String(status));
    assert.deepEqual(verdicts(answer(status), { ...failing, othersServed: true }), both('again'), String(status));
  }
  const cut = (['cut', 'deadline', 'protocol'] as const).map((failure): Outcome => ({ kind: 'failure', failure }));
  for (const outcome of [...cut, { kind: 'faulty' } as const]) {
    assert.deepEqual(verdicts(outcome, { failures: 5 }), { stream: 'check-stream', events: 'again' });
    assert.deepEqual(verdicts(outcome, { failures: 5, othersServed: true }), both('again'));
  }
  assert.deepEqual(verdicts({ kind: 'failure', failure: 'unreachable' }, { failures: 5 }), both('again'));
});

test('again-at-once: a connection that was closed before an answer, a bounded number of times', () => {
  const closed: Outcome = { kind: 'failure', failure: 'closed' };
  assert.deepEqual(verdicts(closed), both('again-at-once'));
  assert.deepEqual(verdicts(closed, { freeRetriesLeft: 0 }), both('again'));
  for (const failure of ['unreachable', 'cut', 'deadline', 'protocol'] as const) {
    assert.deepEqual(verdicts({ kind: 'failure', failure }), both('again'), failure);
  }
  assert.deepEqual(verdicts({ kind: 'failure', failure: 'untrusted' }), both('end'));
});
