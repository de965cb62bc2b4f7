import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextLink } from '../../../src/source/link-header.ts';

const CASES: readonly (readonly [string, string | null, string])[] = [
  ['<https://a/?page=2>; rel="next"', 'https://a/?page=2', 'the usual one'],
  ['<https://a/?page=1>; rel="prev", <https://a/?page=3>; rel="next"', 'https://a/?page=3', 'one of several'],
  ['<https://a/?x=1,2;3>; rel=next', 'https://a/?x=1,2;3', 'signs of the header inside an address; a plain value'],
  ['<https://a/?2>;REL="Last NEXT"', 'https://a/?2', 'several relations in one, in any case'],
  ['</b?2>; title="a, <b>; rel=\\"prev\\""; rel="next"', '/b?2', 'a quoted text that looks like more links'],
  ['<https://a/?2>; rel="prev"; rel="next"', null, 'of doubled parameters the first counts'],
  ['<https://a/?2>; rel="nextish"', null, 'a longer word'],
  ['<https://a/?2>; rel="next"; anchor="#other"', null, 'a link about another page'],
  ['<https://a/?1>; rel="first" , , <https://a/?2> ; rel = "next"', 'https://a/?2', 'empty elements and spaces'],
  ['<https://a/?2>; crossorigin; rel=next', 'https://a/?2', 'a parameter without a value'],
  ['<https://a/?2>; rel="next", <https://a/?3>; rel="next"', 'https://a/?2', 'the first of two'],
  ['https://a/?2; rel=next', null, 'no brackets'],
  ['<https://a/?2', null, 'cut off'],
  ['', null, 'nothing'],
];

for (const [value, expected, name] of CASES) {
  test(`the next page by a Link header: ${name}`, () => {
    assert.equal(nextLink(value), expected);
  });
}

test('a long header without an end takes no time', () => {
  assert.equal(nextLink(`<a>; x="${'\\'.repeat(50_000)}`), null);
  assert.equal(nextLink(`<a>${'; x=y'.repeat(20_000)}`), null);
});
