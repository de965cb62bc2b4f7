import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Redactor, excerpt } from '../../../src/core/redaction.ts';

test('a secret is taken out as it is, as it stands in a URL, and as it stands in JSON', () => {
  const secret = 'k"ey/with+odd=chars';
  const clean = new Redactor([secret]).redact(`${secret} ${encodeURIComponent(secret)} ${JSON.stringify({ secret })}`);
  assert.ok(!clean.includes('odd'), clean);
});

test('a secret is taken out as a form spells it', () => {
  const secret = "k3y (of nobody's)";
  const address = new URL('https://api.example.com/');
  address.searchParams.set('key', secret);
  assert.equal(new Redactor([secret]).redact(address.href), 'https://api.example.com/?key=[hidden]');
});

test('a secret is taken out as PHP writes it into JSON, and as .NET does into an address', () => {
  const secret = 'sk/live+9f3Qx7==';
  const clean = new Redactor([secret]).redact('{"bad":"sk\\/live+9f3Qx7=="} ?key=sk%2flive%2b9f3Qx7%3d%3d');
  assert.equal(clean, '{"bad":"[hidden]"} ?key=[hidden]');
});

test('a secret that becomes known later is taken out from then on', () => {
  const redactor = new Redactor();
  redactor.add('token-0123456789');
  assert.ok(!redactor.redact('sent token-0123456789').includes('token-0'));
});

test('an excerpt is cut at a character border, after secrets were taken out', () => {
  const secret = 's'.repeat(40);
  const redactor = new Redactor([secret]);
  const text = `${'😀'.repeat(190)}${secret}${'ä'.repeat(100)}`;
  const cut = excerpt(Buffer.from(text), redactor);
  // Half a character becomes U+FFFD in UTF-8.
  assert.equal(Buffer.from(cut).toString(), cut);
  assert.equal(Array.from(cut).length, 201);
  assert.ok(!cut.includes('sss'));
});

test('an excerpt stands on one line', () => {
  assert.equal(excerpt(Buffer.from(' <html>\r\n\t<p>x\u2028</p>\n'), new Redactor()), '<html> <p>x </p>');
});

void test('a secret that could be a word is taken out where it stands alone, and of our own texts only when it is all', () => {
  const redactor = new Redactor(['ingestion', 'ab']);
  assert.equal(
    redactor.redact('role "ingestion", not preingestion, ingestions or a-ingestion'),
    'role "[hidden]", not preingestion, ingestions or a-ingestion',
  );
  assert.equal(redactor.redact('ab lab "ab" key=ab'), 'ab lab "[hidden]" key=[hidden]');
  assert.equal(redactor.redactOwn('ingestion complete'), 'ingestion complete');
  assert.equal(redactor.redactOwn('ingestion'), '[hidden]');
});

void test('a distinctive secret is taken out everywhere', () => {
  const redactor = new Redactor(['k3y-0123456789']);
  assert.equal(redactor.redactOwn('xk3y-0123456789x'), 'x[hidden]x');
});

void test('a password is taken out where it stands as one, whatever it is', () => {
  const redactor = new Redactor();
  for (const [text, clean] of [
    ['at postgres://user:pw@host/db.', 'at postgres://user:[hidden]@host/db.'],
    ['postgres://u:12/34secret@host/db', 'postgres://u:[hidden]@host/db'],
    ['https://u:p@ss@host/', 'https://u:[hidden]@host/'],
    ['host=x password=pw user=y', 'host=x password=[hidden] user=y'],
    ["password = 'p w'", "password = '[hidden] w'"],
    ['{"x-api-key":"abc"}', '{"x-api-key":"[hidden]"}'],
    ['Authorization: Basic YTpi', 'Authorization: [hidden]'],
    ['TARGET_API_KEY=abc', 'TARGET_API_KEY=[hidden]'],
  ] as const) {
    assert.equal(redactor.redactOwn(text), clean);
    assert.equal(redactor.redact(text), clean);
  }
  assert.equal(redactor.redactOwn('at http://user:p"w@host'), 'at http://user:[hidden]@host');
  assert.equal(
    redactor.redactOwn('like postgres://<user>:<password>@<host>'),
    'like postgres://<user>:<password>@<host>',
  );
  for (const text of [
    '{"url":"http://host:80","mail":"a@b.c"}',
    'https://host:8080/path',
    'password authentication failed for user "x"',
    'a@b.c',
  ])
    assert.equal(redactor.redact(text), text);
});

void test('text from outside stands on one line and is bounded', () => {
  const clean = new Redactor().redact(`X\r\n[06:00] INFO: done\u001b[2J\u202e\u0085${'😀'.repeat(3_000)}`);
  assert.match(clean, /^X\\r\\n\[06:00\] INFO: done\\u001b\[2J\\u202e\\u0085😀/);
  assert.equal(Array.from(clean).length, 2_001);
});

void test('a long text without a secret costs no time', () => {
  const startedMs = performance.now();
  for (const text of ['a'.repeat(65_536), 'a_'.repeat(32_768), 'a://b:'.repeat(10_000), 'api'.repeat(20_000)])
    new Redactor(['ab', 'word']).redact(text);
  assert.ok(performance.now() - startedMs < 2_000);
});
