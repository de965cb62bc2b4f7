import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HttpHeaders } from '../../../src/api/http-exchange.ts';
import { findFault } from '../../../src/api/http-answer.ts';

function faultOf(text: string): string | null {
  const body = new TextEncoder().encode(text).buffer;
  const answer = { status: 200, headers: new HttpHeaders({}), body, bodyBytes: body.byteLength };
  return findFault({ ...answer, overflowed: false, leftOutAt: null, receivedAtMs: 0 }, 'identity');
}

void test('a body between braces may be a page, also behind white space or a byte order mark', () => {
  for (const text of ['{"data":[]}', ' \r\n{}\n', '\ufeff{"data":[]}', '\ufeff\n{}'])
    assert.equal(faultOf(text), null, text);
});

void test('what a server calls its JSON does not matter', () => {
  const body = new TextEncoder().encode('{"data":[]}').buffer;
  const headers = new HttpHeaders({ 'content-type': 'text/html; charset=utf-8' });
  const answer = {
    status: 200,
    headers,
    body,
    bodyBytes: body.byteLength,
    overflowed: false,
    leftOutAt: null,
    receivedAtMs: 0,
  };
  assert.equal(findFault(answer, 'identity'), null);
});

void test('another body is no page, and why', () => {
  assert.match(faultOf('') ?? '', /is empty/);
  for (const text of ['[]', '\ufeff[]', '\ufeff', 'x{}'])
    assert.match(faultOf(text) ?? '', /does not begin with \{/, text);
  assert.match(faultOf('\ufeff{"data":[') ?? '', /does not end with \}/);
});
