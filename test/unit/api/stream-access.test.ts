import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  StreamAccess,
  StreamUnavailableError,
  readAccess,
  type AccessOutcome,
} from '../../../src/api/stream-access.ts';

const ORIGIN = 'https://api.example.org';
const good = {
  endpoint: '/api/v1/events/d4ta/x7k9/feed',
  token: 'f'.repeat(64),
  expiresIn: 300,
  tokenHeader: 'X-Stream-Token',
};

function read(changes: Record<string, unknown>): AccessOutcome {
  return readAccess({ streamAccess: { ...good, ...changes }, meta: {} }, ORIGIN, 0);
}

/** Access that hands out tokens of this life, and counts how often it was asked. */
function accessOf(lifeMs: number): { access: StreamAccess; granted: () => number } {
  let granted = 0;
  const access = new StreamAccess({
    request: () => {
      granted += 1;
      const token = {
        url: new URL(`${ORIGIN}/feed`),
        header: 'x',
        token: `token ${granted}`,
        receivedMs: performance.now(),
        lifeMs,
      };
      return Promise.resolve<AccessOutcome>({ kind: 'granted', token });
    },
    onToken: () => undefined,
    onRenewalFailed: () => undefined,
  });
  return { access, granted: () => granted };
}

test('the documented answer is read', () => {
  const outcome = read({});
  assert.ok(outcome.kind === 'granted');
  assert.equal(outcome.token.url.href, `${ORIGIN}${good.endpoint}`);
  assert.equal(outcome.token.header, 'x-stream-token');
  assert.equal(outcome.token.lifeMs, 300_000);
});

test('a missing life or header is what it usually is, a life as text is read', () => {
  const outcome = read({ expiresIn: undefined, tokenHeader: undefined });
  assert.ok(
    outcome.kind === 'granted' && outcome.token.lifeMs === 300_000 && outcome.token.header === 'x-stream-token',
  );
  const text = read({ expiresIn: '20' });
  assert.ok(text.kind === 'granted' && text.token.lifeMs === 20_000);
});

test('an absolute URL is taken on the same origin only', () => {
  assert.equal(read({ endpoint: `${ORIGIN}/feed?x=1` }).kind, 'granted');
  for (const endpoint of [
    'https://evil.example/feed',
    '//evil.example/feed',
    'http://api.example.org/feed',
    'https://api.example.org:8443/feed',
    '\\\\evil.example/feed',
  ]) {
    assert.equal(read({ endpoint }).kind, 'denied', endpoint);
  }
});

test('what could smuggle a header in is denied', () => {
  for (const changes of [
    { token: 'a\r\nx: y' },
    { token: '' },
    { tokenHeader: 'x y' },
    { tokenHeader: 'x:\r\n' },
    { endpoint: '' },
  ]) {
    assert.equal(read(changes).kind, 'denied');
  }
  assert.equal(readAccess(null, ORIGIN, 0).kind, 'denied');
});

test('many requests at once ask for one token', async () => {
  const { access, granted } = accessOf(60_000);
  const tokens = await Promise.all(Array.from({ length: 10 }, () => access.token()));
  assert.equal(new Set(tokens).size, 1);
  assert.equal(granted(), 1);
});

test('a refused token is dropped once, however many requests bring the news', async () => {
  const { access, granted } = accessOf(60_000);
  const token = await access.token();
  for (let request = 0; request < 5; request += 1) access.drop(token);
  assert.notEqual(await access.token(), token);
  assert.equal(granted(), 2);
});

test('access that is denied says so to everybody who waits', async () => {
  const access = new StreamAccess({
    request: () => Promise.resolve({ kind: 'denied', reason: 'this deployment has none' }),
    onToken: () => undefined,
    onRenewalFailed: () => undefined,
  });
  const waiting = [access.token(), access.token()];
  for (const one of waiting) await assert.rejects(one, StreamUnavailableError);
});
