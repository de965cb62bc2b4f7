import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HttpHeaders } from '../../../src/api/http-exchange.ts';
import { whyNoPage } from '../../../src/api/http-answer.ts';

function faultOf(text: string, headers: Record<string, string> = {}): string | null {
  const body = new TextEncoder().encode(text).buffer;
  const answer = { status: 200, headers: new HttpHeaders(headers), body, bodyBytes: body.byteLength };
  return whyNoPage({ ...answer, overflowed: false, leftOutAt: null, receivedAtMs: 0 });
}

void test('a body that begins with a brace may be a page, also behind white space or a byte order mark', () => {
  for (const text of ['{"data":[]}', ' \r\n{}\n', '\ufeff{"data":[]}', '\ufeff\n{}', '{"data":[', '{}<!-- cached -->'])
    assert.equal(faultOf(text), null, text);
});

void test('what a server calls its JSON does not matter', () => {
  assert.equal(faultOf('{"data":[]}', { 'content-type': 'text/html; charset=utf-8' }), null);
  assert.equal(faultOf('{"data":[]}', { 'content-encoding': 'utf-8' }), null);
});

void test('another body is no page, and why', () => {
  assert.match(faultOf('') ?? '', /is empty/);
  for (const text of ['[]', '\ufeff[]', '\ufeff', 'x{}'])
    assert.match(faultOf(text) ?? '', /does not begin with \{/, text);
});

void test('a compressed body is not judged before it is read', () => {
  assert.equal(faultOf('\u001f\u008b', { 'content-encoding': 'gzip' }), null);
});
