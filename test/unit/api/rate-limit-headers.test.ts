import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HttpHeaders } from '../../../src/api/http-headers.ts';
import { NOTHING_SAID, readRateLimit, type RateLimitNotice } from '../../../src/api/rate-limit-headers.ts';

const NOW = Date.parse('2026-01-27T19:20:12.400Z');
const DATE = { date: 'Tue, 27 Jan 2026 19:20:12 GMT' };

function read(headers: Record<string, string>, body: unknown = null): RateLimitNotice {
  return readRateLimit(new HttpHeaders(headers), NOW, body);
}

test('the documented headers are read, reset as seconds', () => {
  const headers = { 'x-ratelimit-limit': '10', 'x-ratelimit-remaining': '7', 'x-ratelimit-reset': '28' };
  assert.deepEqual(read(headers), { ...NOTHING_SAID, limit: 10, remaining: 7, resetMs: 28_000 });
});

test("the IETF's drafts are read, old and new", () => {
  const told = { ...NOTHING_SAID, limit: 10, windowMs: 60_000, remaining: 7, resetMs: 28_000 };
  const from08 = { 'ratelimit-policy': '"default";q=10;w=60', ratelimit: '"default";r=7;t=28' };
  assert.deepEqual(read(from08), told);
  assert.deepEqual(read({ 'ratelimit-policy': '10;w=60', ratelimit: 'limit=10, remaining=7, reset=28' }), told);
  const upTo06 = { 'ratelimit-limit': '10, 10;w=60', 'ratelimit-remaining': '7', 'ratelimit-reset': '28' };
  assert.deepEqual(read(upTo06), told);
});

test('of several policies the one counts that has the least left', () => {
  const headers = {
    'ratelimit-policy': '"day";q=1000;w=86400, "burst";q=10;w=60',
    ratelimit: '"day";r=800;t=3600, "burst";r=2;t=30',
  };
  assert.deepEqual(read(headers), { ...NOTHING_SAID, limit: 10, windowMs: 60_000, remaining: 2, resetMs: 30_000 });
});

test('a reset as epoch seconds or milliseconds is distinguished from seconds by its size', () => {
  const seconds = Math.floor(NOW / 1000) + 30;
  assert.equal(read({ ...DATE, 'x-ratelimit-reset': String(seconds) }).resetMs, seconds * 1000 + 1_000 - NOW);
  assert.equal(read({ ...DATE, 'x-ratelimit-reset': String(NOW + 12_345) }).resetMs, 12_345);
});

test('an epoch in the past is ignored', () => {
  assert.equal(read({ 'x-ratelimit-reset': '1700000000' }).resetMs, null);
  assert.equal(read({ 'retry-after': '1700000000' }).retryAfterMs, null);
});

test("an epoch is compared with the API's own clock when the clocks disagree", () => {
  const theirsMs = NOW - 3_600_000;
  const headers = {
    date: new Date(theirsMs).toUTCString(),
    'x-ratelimit-reset': String(Math.floor(theirsMs / 1000) + 20),
  };
  const { resetMs } = read(headers);
  assert.ok(resetMs !== null && Math.abs(resetMs - 20_000) <= 1_000, String(resetMs));
});

test('Retry-After is read as seconds, as an HTTP date, and as an epoch', () => {
  assert.equal(read({ 'retry-after': '28' }).retryAfterMs, 28_000);
  assert.equal(read({ ...DATE, 'retry-after': 'Tue, 27 Jan 2026 19:20:40 GMT' }).retryAfterMs, 28_600);
  assert.equal(read({ ...DATE, 'retry-after': 'Tue, 27 Jan 2026 19:20:00 GMT' }).retryAfterMs, null);
  assert.equal(read({ 'retry-after': String(Math.floor(NOW / 1000) + 60) }).retryAfterMs, 60_600);
  assert.equal(read({ 'retry-after': 'soon' }).retryAfterMs, null);
});

test('a moment in whole seconds may be rounded down, and is taken for a second later', () => {
  const headers = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(Math.floor(NOW / 1000)) };
  assert.equal(read(headers).retryAfterMs, 600);
  assert.equal(read({ 'retry-after': String(NOW + 5_000) }).retryAfterMs, 5_000);
});

test('a moment in ISO 8601 is one, and what is neither number nor moment is nothing', () => {
  const soon = new Date(NOW + 5_000).toISOString();
  assert.equal(read({ 'retry-after': soon }).retryAfterMs, 5_000);
  assert.equal(read({}, { retry_after: soon }).retryAfterMs, 5_000);
  assert.equal(read({ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': soon }).resetMs, 5_000);
  for (const text of ['-1', 'Fri, 31 Dec 1999 23:59:59 GMT', '2001-01-01', '1970-01-01T00:00:00Z', '1e1', '00:05']) {
    assert.equal(read({ 'retry-after': text }).retryAfterMs, null, text);
  }
  for (const text of ['"5"', '+5', '5 seconds', '5 s'])
    assert.equal(read({ 'retry-after': text }).retryAfterMs, 5_000, text);
});

test("a refusal's body says what its headers do not, except the limit, whose window nobody names", () => {
  const body = { code: 'RATE_LIMIT_EXCEEDED', rateLimit: { limit: 10, remaining: 0, reset: 28 } };
  assert.deepEqual(read({}, body), { ...NOTHING_SAID, remaining: 0, resetMs: 28_000, retryAfterMs: 28_000 });
  assert.equal(read({ 'x-ratelimit-reset': '5' }, body).resetMs, 5_000);
});

test('a wait that only the body tells is read', () => {
  for (const body of [
    { retryAfter: 7 },
    { rateLimit: { retryAfter: 7 } },
    { error: { retry_after: '7' } },
    { 'Retry-After': 7 },
    { retry_after_seconds: 7 },
    { retryAfterMs: 7_000 },
    { retry_after_ms: '7000' },
    { retryIn: '7000ms' },
    { ok: false, parameters: { retry_after: 7 } },
    { error: { code: 429, details: [{ reason: 'RATE_LIMIT' }, { retryDelay: '7s' }] } },
  ]) {
    assert.equal(read({}, body).retryAfterMs, 7_000, JSON.stringify(body));
  }
  assert.equal(read({ 'retry-after': '3' }, { retryAfter: 7 }).retryAfterMs, 3_000);
});

test('what makes no sense is nothing', () => {
  assert.deepEqual(
    read({ 'x-ratelimit-limit': '0', 'x-ratelimit-remaining': 'many', 'x-ratelimit-reset': '-1' }),
    NOTHING_SAID,
  );
  assert.deepEqual(read({}, { rateLimit: 'none' }), NOTHING_SAID);
});

test('a list that gateways join gives its first number', () => {
  assert.equal(read({ 'x-ratelimit-limit': '100, 100;window=60' }).limit, 100);
});
