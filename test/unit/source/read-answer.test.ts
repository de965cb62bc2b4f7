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

const AT = '{"at":"2026-09-24"}';

for (const [cursor, mayBeginAgain] of [
  [null, false],
  ['["2026-09-24",1]', true],
  ['["2026-09-24",2]', false],
] as const) {
  test(`a page by ${cursor ?? 'no cursor'} may ${mayBeginAgain ? '' : 'not '}begin as the one before it`, () => {
    const asked = { url: new URL('https://api.example.com'), headers: headers(), cursor, limit: 2 };
    const quoted = { around: '{"data":[]}', hasList: true, firstRecord: AT, lastRecord: AT };
    const read = readAnswer(BY_TIME, asked, quoted, 2, { isMoreKnown: false, mostRecords: 0 });
    assert.ok(!('kind' in read));
    assert.equal(read.mayBeginAgain, mayBeginAgain);
  });
}

const asking = { url: new URL('https://api.example.com'), limit: 3 };
const FULL = {
  around: '{"data":[],"following":"x","last":false}',
  hasList: true,
  firstRecord: '{"id":1}',
  lastRecord: '{"id":3}',
};

for (const [name, said, sought] of [
  [
    'a token',
    { next: { token: { path: ['next'], param: 'after' } } },
    /no \[next\].*an object with data, following, last/,
  ],
  ['a token in a header', { next: { token: { header: 'X-Next', param: 'after' } } }, /no header x-next/],
  ['links', { next: { link: 'header' } }, /no Link header/],
  [
    'page numbers and links',
    { next: { count: { param: 'page', first: 1, step: 1 } }, more: { link: 'next' } },
    /no Link header/,
  ],
  ['a flag', { more: { path: ['last'] } }, /no true at \[last\], which says/],
] as const) {
  test(`a full first page that leads nowhere is asked again, smaller: ${name}`, () => {
    const source = described(said);
    const read = (
      records: number,
      { cursor = null, isMoreKnown = false }: { cursor?: string | null; isMoreKnown?: boolean } = {},
    ) =>
      readAnswer(source, { ...asking, headers: headers(), cursor }, FULL, records, {
        isMoreKnown,
        mostRecords: 0,
      });
    const full = read(3);
    assert.ok('kind' in full && full.kind === 'unclear');
    assert.match(full.why, sought);
    const ends = [read(2), read(3, { cursor: '2' }), read(3, { isMoreKnown: true })];
    assert.deepEqual(
      ends.map((end) => 'hasMore' in end && end.hasMore),
      [false, false, false],
    );
  });
}

for (const [format, written, other] of [
  ['s', 1_790_243_999_000, 'ms'],
  ['s', '1790243999000', 'ms'],
  ['ms', 1_790_243_999, 's'],
  ['ms', 1_790_243_999_000_000, 'microseconds'],
  ['s', 1_790_243_999, null],
  ['ms', 0, null],
  ['ms', 1_790_243_999_000, null],
  ['s', null, null],
] as const) {
  const verdict = other === null ? 'may be so' : `is a time in ${other}`;
  test(`on a first page ${JSON.stringify(written)} where ${format} are described ${verdict}`, () => {
    const source = described({ order: 'newest-first', time: { path: ['at'], format, granularity: '1s' } });
    const record = JSON.stringify({ id: 1, at: written });
    const quoted = { around: '{"data":[]}', hasList: true, firstRecord: record, lastRecord: record };
    const read = (mostRecords: number) =>
      readAnswer(source, { ...asking, headers: headers(), cursor: null }, quoted, 1, {
        isMoreKnown: false,
        mostRecords,
      });
    const first = read(0);
    assert.equal('kind' in first ? first.kind : null, other === null ? null : 'unclear');
    if ('why' in first) assert.match(first.why, new RegExp(`century in ${other} alone`));
    assert.ok(!('kind' in read(1)), 'later pages are read as they are described');
  });
}

for (const [name, said, records, ids, isRefused] of [
  ['half of them are one', { id: ['kind'] }, 20, 9, true],
  ['some are doubled', { id: ['kind'] }, 20, 10, false],
  ['they are few', { id: ['kind'] }, 9, 1, false],
  ['they have versions', { id: ['kind'], version: ['at'] }, 20, 1, false],
  ['they have no id', {}, 20, 1, false],
] as const) {
  test(`records of a first page whose ids are shared are ${isRefused ? 'refused' : 'believed'} where ${name}`, () => {
    const asked = { ...asking, limit: 100, headers: headers(), cursor: null };
    const before = { isMoreKnown: false, mostRecords: 0 };
    const read = readAnswer(described(said), asked, { ...FULL, ids }, records, before);
    assert.equal('kind' in read && read.kind, isRefused && 'unclear');
  });
}

for (const [body, more, isEmpty] of [
  [{ data: null }, null, true],
  [{ data: null, code: 0, message: 'success', error: null, success: true }, null, true],
  [{ data: null, things: [] }, null, true],
  [{ data: null, things: [{ id: 1 }] }, null, false],
  [{ data: null, errors: [{ text: 'no' }] }, null, false],
  [{ data: null, error: 'internal' }, null, false],
  [{ data: null, success: false }, null, false],
  [{ data: null, meta: { status: 503 } }, null, false],
  [{ data: null, message: 'Please try again' }, null, false],
  [{ data: {} }, null, false],
  [{}, null, false],
  [{ more: false }, ['more'], true],
  [{ more: false, message: 'Please try again' }, ['more'], false],
  [{ more: null }, ['more'], false],
] as const) {
  test(`without a list ${JSON.stringify(body)} is ${isEmpty ? 'an empty page' : 'none'}${more === null ? '' : ', more: [more]'}`, () => {
    const source = described(more === null ? {} : { more: { path: more } });
    const quoted = { around: JSON.stringify(body), hasList: false, firstRecord: null, lastRecord: null };
    const before = { isMoreKnown: false, mostRecords: 0 };
    const read = readAnswer(source, { ...asking, headers: headers(), cursor: null }, quoted, 0, before);
    assert.equal('hasMore' in read, isEmpty);
  });
}
