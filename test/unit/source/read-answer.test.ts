/** What a page of a described source says of itself, in the words of the walk. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAnswer } from '../../../src/source/read-answer.ts';
import { described, headers } from './described.ts';

const BY_TIME = described({
  next: {
    lastRecord: {
      path: ['at'],
      param: 'since',
      inclusive: true,
      within: { count: { param: 'page', first: 1, step: 1 } },
    },
  },
});

for (const [cursor, mayBeginAgain] of [
  [null, false],
  ['["2026-09-24",1]', true],
  ['["2026-09-24",2]', false],
] as const) {
  test(`a page by ${cursor ?? 'no cursor'} may ${mayBeginAgain ? '' : 'not '}begin as the one before it`, () => {
    const asked = { url: new URL('https://api.example.com'), headers: headers(), cursor, limit: 2 };
    const quoted = { around: '{"data":[]}', hasList: true, lastRecord: '{"at":"2026-09-24"}' };
    const read = readAnswer(BY_TIME, asked, quoted, 2);
    assert.ok(!('kind' in read));
    assert.equal(read.mayBeginAgain, mayBeginAgain);
  });
}
