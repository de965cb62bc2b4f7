import assert from 'node:assert/strict';
import { test } from 'node:test';
import { guessNextCursor } from '../../../src/api/cursor-guess.ts';

const guessOf = (text: string, contentEncoding: 'identity' | 'gzip' = 'identity'): string | null => {
  const bytes = Buffer.from(text);
  const body = new Uint8Array(bytes.length + 7).fill(0x5d);
  body.set(bytes);
  return guessNextCursor({ body: body.buffer, bodyBytes: bytes.length, contentEncoding });
};

test('the cursor is found behind the events and before them, in all spellings', () => {
  assert.equal(
    guessOf('{"data":[{"a":[1]}],"pagination":{"hasMore":true,"nextCursor":"eyJ+/=="},"meta":{}}'),
    'eyJ+/==',
  );
  assert.equal(guessOf('{"has_more":"true","next_cursor" : "c","events":[{"a":1}]}'), 'c');
  assert.equal(guessOf('{"data":[],"hasMore":1,"nextCursor":"a\\u002b\\/\\"\\\\é"}'), 'a+/"\\é');
});

test('a last page has none', () => {
  assert.equal(guessOf('{"data":[1],"hasMore":false,"nextCursor":"c"}'), null);
  assert.equal(guessOf('{"data":[1],"hasMore":true,"nextCursor":null}'), null);
  assert.equal(guessOf('{"data":[1],"hasMore":true,"nextCursor":""}'), null);
});

test('what stands inside of the events is not looked at', () => {
  const event = '{"hasMore":true,"nextCursor":"evil","tags":["x"]}';
  assert.equal(guessOf(`{"hasMore":false,"data":[${event},${event}]}`), null);
  assert.equal(guessOf(`{"data":[${event}],"hasMore":true,"nextCursor":"good"}`), 'good');
});

test('nothing is guessed of a compressed page, of a huge envelope, of what is no page', () => {
  assert.equal(guessOf('{"data":[],"hasMore":true,"nextCursor":"c"}', 'gzip'), null);
  assert.equal(guessOf(`{"data":[],"hasMore":true,"nextCursor":"c","x":"${'y'.repeat(5_000)}"}`), null);
  assert.equal(guessOf('{"data":[],"hasMore":true,"nextCursor":"\\x"}'), null);
  assert.equal(guessOf(''), null);
});
