import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpAnswer } from '../../../src/api/http-exchange.ts';
import { HttpHeaders } from '../../../src/api/http-headers.ts';
import { refusalInBody } from '../../../src/api/refusal-in-body.ts';
import { refusalOf, type Refusal } from '../../../src/api/refusal.ts';

function answerWith(status: number, body: unknown, headers: Record<string, string> = {}): HttpAnswer {
  const { buffer } = Uint8Array.from(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)));
  const answer = { status, headers: new HttpHeaders(headers), body: buffer, bodyBytes: buffer.byteLength };
  return { ...answer, overflowed: false, leftOutAt: null, receivedAtMs: 0 };
}

function read(body: unknown, headers: Record<string, string> = {}): Refusal {
  return refusalOf(answerWith(400, body, headers));
}

void test('a 200 is a refusal where its body speaks of an error and of too many requests, and has no list', () => {
  for (const body of [
    { error: 'Too Many Requests', retryAfter: 6 },
    { data: null, success: false, message: 'rate limit reached' },
  ]) {
    assert.equal(refusalInBody(answerWith(200, body))?.status, 429, JSON.stringify(body));
  }
  for (const body of [
    { data: [], message: 'rate limit: 100' },
    { data: { data: [] }, error: 'rate limit' },
    { error: 'busy' },
    { quota: 'rate limit' },
    '{"a":'.repeat(10_000),
    `${'{"a":'.repeat(10_000)}"rate limit"${'}'.repeat(10_000)}`,
    '',
  ]) {
    assert.equal(refusalInBody(answerWith(200, body)), null, JSON.stringify(body).slice(0, 80));
  }
});

void test('words of too many requests are found wherever a body has them', () => {
  for (const body of [
    { message: 'You have exceeded a secondary rate limit. Please wait a few minutes.' },
    { code: 'RATE_LIMIT_EXCEEDED' },
    { error: { code: 'TooManyRequests' } },
    { __type: 'ThrottlingException' },
    { errors: [{ detail: 'Quota of requests per minute reached' }] },
    '<html><h1>You are being rate limited</h1></html>',
    'Slow Down',
  ]) {
    assert.ok(read(body).speaksOfPace, JSON.stringify(body));
  }
  for (const body of [
    { code: 'FORBIDDEN', message: 'Access denied' },
    { message: 'Not Found', documentation_url: 'https://docs.example.org/rest/rate-limits' },
    { message: 'limit must be <= 1000' },
    '<html>Forbidden</html>',
    '',
  ]) {
    assert.ok(!read(body).speaksOfPace, JSON.stringify(body));
  }
});

void test('the most events a page may have is read from what validators say', () => {
  for (const [body, maxEvents] of [
    ['limit must be <= 1000', 1_000],
    [{ message: 'limit must be less than or equal to 1,000' }, 1_000],
    [
      { detail: [{ loc: ['query', 'limit'], msg: 'Input should be less than or equal to 1000', ctx: { le: 1000 } }] },
      1_000,
    ],
    [{ message: '"limit" must be less than 1001' }, 1_000],
    [{ error: 'limit must be greater than or equal to 1 and less than or equal to 500' }, 500],
    [{ error: 'limit must be between 1 and 200' }, 200],
    [{ issues: [{ code: 'too_big', maximum: 100, path: ['limit'], message: 'Number must be at most 100' }] }, 100],
    [{ message: 'Invalid page size: 5000 exceeds the maximum of 250' }, 250],
    [{ message: 'limit must not exceed 300' }, 300],
    [{ message: 'Maximum page_size is 400' }, 400],
    [{ message: 'per_page must not be greater than 100.' }, 100],
    [{ message: 'the limit is too large' }, null],
    [{ message: 'cursor must be at most 64 characters' }, null],
    [{ code: 'CURSOR_EXPIRED', message: 'Cursor expired 3 minutes ago' }, null],
  ] as const) {
    assert.equal(read(body).maxEvents, maxEvents, JSON.stringify(body));
  }
});

void test('what an answer tells to wait, and how many requests are left, come from its headers or its body', () => {
  assert.equal(read({}, { 'retry-after': '7' }).toldWaitMs, 7_000);
  assert.equal(read({}, { 'x-ratelimit-remaining': '0' }).remaining, 0);
  assert.equal(read({ rateLimit: { remaining: 0, reset: 5 } }).remaining, 0);
  assert.deepEqual({ ...read({ code: 'X' }) }, { ...read({}), apiCode: 'X' });
});
