import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { HttpHeaders } from '../../../src/api/http-headers.ts';
import { whyNoPage } from '../../../src/api/http-answer.ts';

function faultOf(text: string | Uint8Array, headers: Record<string, string> = {}): string | null {
  const body = Uint8Array.from(Buffer.from(text)).buffer;
  const answer = { status: 200, headers: new HttpHeaders(headers), body, bodyBytes: body.byteLength };
  return whyNoPage({ ...answer, overflowed: false, leftOutAt: null, receivedAtMs: 0 });
}

void test('a body that begins with a brace or a bracket may be a page, also behind white space or a byte order mark', () => {
  for (const text of [
    '{"data":[]}',
    ' \r\n{}\n',
    '\ufeff{"data":[]}',
    '\ufeff\n{}',
    '{"data":[',
    '{}<!-- cached -->',
    '\ufeff[]',
  ])
    assert.equal(faultOf(text), null, text);
});

void test('what a server calls its JSON does not matter', () => {
  assert.equal(faultOf('{"data":[]}', { 'content-type': 'text/html; charset=utf-8' }), null);
  assert.equal(faultOf('{"data":[]}', { 'content-encoding': 'utf-8' }), null);
});

void test('another body is no page, and why', () => {
  assert.match(faultOf('') ?? '', /is empty/);
  for (const text of ['"[]"', '\ufeff', 'x{}']) assert.match(faultOf(text) ?? '', /does not begin with \{/, text);
});

void test('a compressed body is judged by what it decodes to, as far as its first bytes go', () => {
  const headers = { 'content-encoding': 'gzip' };
  const page = `{"data":[${Array.from({ length: 5_000 }, (_, at) => `{"id":"${at * 7919}"}`).join()}]}`;
  for (const text of [page, '\ufeff{}', ' '.repeat(100_000) + page]) {
    assert.equal(faultOf(gzipSync(text), headers), null);
    assert.equal(faultOf(brotliCompressSync(text), { 'content-encoding': 'br' }), null);
    assert.equal(faultOf(text, headers), null, 'named and not applied');
  }
  assert.equal(faultOf(gzipSync(page).subarray(0, 5_000), headers), null, 'cut: the scanner says what is wrong');
  const html = `<html>${'502 Bad Gateway '.repeat(9_000)}</html>`;
  for (const body of [gzipSync(html), gzipSync(''), html, '\u001f']) {
    assert.match(faultOf(body, headers) ?? '', /does not begin with \{/);
  }
});
