import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GUARANTEE_ROWS, guaranteesOf } from '../../../src/source/guarantees.ts';
import { described } from './described.ts';

/** The answers of the card, in its order. */
function card(said: object): string[] {
  const guarantees = guaranteesOf(described(said).description);
  return GUARANTEE_ROWS.map(([key]) => guarantees[key].answer);
}

const ID = { id: ['id'] };
const TOKEN = { next: { token: { path: ['next'], param: 'cursor' } } };
const COUNT = { next: { count: { param: 'page', first: 1, step: 1 } } };
const LAST = { next: { lastRecord: { path: ['id'], param: 'after' } } };
const TIME = { path: ['at'], format: 's', granularity: '1s' };
const BOTH = { time: { ...TIME, since: 'from', until: 'to' }, order: 'newest-first' };

test('both bounds, in order of time', () => {
  const expected = ['yes', 'yes, by cursor or time', 'yes', 'by time', "the API's own end"];
  assert.deepEqual(card({ ...ID, ...TOKEN, ...BOTH }), expected);
  assert.deepEqual(card({ ...ID, ...TOKEN, ...BOTH, total: { path: ['total'] } }), [...expected.slice(0, 4), 'total']);
});

test('one bound, or another order, is one chain from the top', () => {
  const one = (order: string, ...bounds: string[]) =>
    card({ ...ID, ...TOKEN, order, time: { ...TIME, ...Object.fromEntries(bounds.map((bound) => [bound, bound])) } });
  const chain = [
    'yes',
    'while the cursor lives, else from the top',
    'no',
    'from the top, paid twice',
    "the API's own end",
  ];
  assert.deepEqual(one('oldest-first', 'since'), chain);
  assert.deepEqual(one('oldest-first', 'since', 'until'), chain);
  assert.deepEqual(one('newest-first', 'until'), chain);
  assert.deepEqual(one('newest-first', 'since'), chain);
});

test("the last record's unique key, no bounds", () => {
  assert.deepEqual(card({ ...ID, ...LAST }), ['yes', 'yes, always', 'no', 'cannot happen', "the API's own end"]);
});

test('an opaque cursor, no bounds', () => {
  const expected = [
    'yes',
    'while the cursor lives, else from the top',
    'no',
    'from the top, paid twice',
    "the API's own end",
  ];
  assert.deepEqual(card({ ...ID, ...TOKEN }), expected);
  assert.deepEqual(card({ ...ID, next: { link: 'header' } }), expected);
});

test('pages that are counted, of a list to which records are only added', () => {
  const said = { ...ID, ...COUNT, order: 'newest-first', time: TIME };
  assert.deepEqual(card(said), [
    'yes, while records are only added',
    'yes',
    'no',
    'cannot happen',
    "the API's own end",
  ]);
});

test('pages that are counted, of a list whose records move', () => {
  const expected = ['no: can skip', 'yes', 'no', 'cannot happen', 'not proven: walk it again'];
  assert.deepEqual(card({ ...ID, ...COUNT }), expected);
  assert.deepEqual(card({ ...ID, ...COUNT, order: 'newest-first', time: TIME, version: ['changed'] }), expected);
  assert.deepEqual(card({ ...ID, ...COUNT, total: { path: ['total'] } }), expected);
});

test('no id', () => {
  const expected = ['no: equal records are one', 'yes, by cursor or time', 'yes', 'by time', 'weak'];
  assert.deepEqual(card({ ...TOKEN, ...BOTH }), expected);
  assert.deepEqual(card({ ...TOKEN, ...BOTH, total: { path: ['total'] } }), expected);
  assert.equal(card(COUNT)[0], 'no: can skip, and equal records are one');
});

test('sentences say what the description says, in its words', () => {
  const sentences = (said: object) => {
    const guarantees = guaranteesOf(described(said).description);
    return GUARANTEE_ROWS.map(([key]) => guarantees[key].sentence);
  };
  const within = { count: { param: 'page', first: 1, step: 1 } };
  const [once = ''] = sentences({ ...ID, next: { lastRecord: { path: ['at'], param: 's', inclusive: true, within } } });
  assert.match(once, /^Each id is one row.* more records than a page have one at, pages under it are counted/);
  const life = { next: { token: { path: ['next'], param: 'cursor', life: '116s' } } };
  assert.match(sentences({ ...ID, ...life })[1] ?? '', /while its cursor lives \(116s\)/);
  const capped = sentences({ ...ID, ...TOKEN, more: { path: ['has_more'] }, time: { ...TIME, cap: 10_000 } });
  assert.match(capped[4] ?? '', /when has_more says that nothing follows.* A list of 10000 records ends with code 5/);
  for (const said of [{ ...ID, ...LAST }, TOKEN, COUNT]) {
    for (const sentence of sentences(said)) assert.match(sentence, /^[A-Z].*\.$/);
  }
});
