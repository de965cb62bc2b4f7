import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeRejections } from '../../../../src/app/run/rejection-text.ts';

function described(original: string | null, reason = 'id-missing'): string {
  return describeRejections([
    { field: 'id', reason, count: 3, original: original === null ? null : Buffer.from(original, 'latin1') },
  ]);
}

test('reasons come with their counts and the keys of such an event', () => {
  assert.equal(described('{"_id":"1","uuid":"2"}'), '3 for id: id-missing (such an event has "_id", "uuid")');
  assert.equal(described('{}'), '3 for id: id-missing (such an event has no keys)');
  const both = describeRejections([
    { field: 'id', reason: 'id-null', count: 9, original: null },
    { field: 'event', reason: 'not-an-object', count: 1, original: Buffer.from('[1]') },
  ]);
  assert.equal(both, '9 for id: id-null, 1 for event: not-an-object');
});

test('what is no JSON object has no keys to show', () => {
  for (const original of ['17', 'null', '[{"id":1}]', '{"a":', '\xff\xc3', '']) {
    assert.equal(described(original), '3 for id: id-missing', original);
  }
  assert.match(described('{"a\xff":1}'), /has "a\uFFFD"/);
});

test('many keys, long ones and line ends stay one short line', () => {
  const keys = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`key${index}`, index]));
  assert.match(described(JSON.stringify(keys)), /"key11" and 28 more\)$/);
  assert.match(described(JSON.stringify({ ['x'.repeat(500)]: 1 })), /has "x{40}…"/);
  assert.match(described('{"a\\r\\nb\\u0000\\u001b[31m":1}'), /has "a b \[31m"/);
  assert.match(described('{}', `row 1\nDETAIL: ${'y'.repeat(500)}`), /^3 for id: row 1 DETAIL: y+… \(/);
});
