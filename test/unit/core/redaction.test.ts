import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Redactor, excerpt } from '../../../src/core/redaction.ts';

test('a secret is taken out as it is, as it stands in a URL, and as it stands in JSON', () => {
  const secret = 'k"ey/with+odd=chars';
  const clean = new Redactor([secret]).redact(`${secret} ${encodeURIComponent(secret)} ${JSON.stringify({ secret })}`);
  assert.ok(!clean.includes('odd'), clean);
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

void test('a secret of three letters is taken out only where that is asked for', () => {
  assert.equal(new Redactor(['abc']).redact('abc'), 'abc');
  assert.equal(new Redactor(['abc'], 3).redact('password abc'), 'password [hidden]');
});
