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
  const expected = ['yes', 'yes, by cursor or time', 'yes', 'by time', 'what is new', "the API's own end"];
  for (const order of ['newest-first', 'oldest-first']) {
    assert.deepEqual(card({ ...ID, ...TOKEN, ...BOTH, order }), expected);
    const counted = card({ ...ID, ...TOKEN, ...BOTH, order, total: { path: ['total'] } });
    assert.deepEqual(counted, [...expected.slice(0, 5), 'total']);
  }
});

test('one bound, where the list begins or where it ends', () => {
  const one = (order: string, bound: string) =>
    card({ ...ID, ...TOKEN, order, time: { ...TIME, [bound]: bound } }).slice(1, 5);
  const beginsAnywhere = ['yes, by cursor or time', 'no', 'by time', 'what is new'];
  assert.deepEqual(one('oldest-first', 'since'), beginsAnywhere);
  assert.deepEqual(one('newest-first', 'until'), beginsAnywhere);
  const fromTheTop = ['while the cursor lives, else from the top', 'no', 'from the top, paid twice'];
  assert.deepEqual(one('newest-first', 'since'), [...fromTheTop, 'what is new']);
  assert.deepEqual(one('oldest-first', 'until'), [...fromTheTop, 'everything again']);
  assert.deepEqual(one('none', 'since'), [...fromTheTop, 'everything again']);
});

test("the last record's unique key, no bounds", () => {
  const expected = ['yes', 'yes, always', 'no', 'cannot happen', 'everything again', "the API's own end"];
  assert.deepEqual(card({ ...ID, ...LAST }), expected);
  const ordered = card({ ...ID, ...LAST, order: 'newest-first', time: TIME });
  assert.deepEqual(ordered, expected.with(4, 'what is new'));
});

test('an opaque cursor, no bounds', () => {
  const expected = [
    'yes',
    'while the cursor lives, else from the top',
    'no',
    'from the top, paid twice',
    'everything again',
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
    'what is new',
    "the API's own end",
  ]);
});

test('pages that are counted, of a list whose records move', () => {
  const expected = ['no: can skip', 'yes', 'no', 'cannot happen', 'everything again', 'not proven: walk it again'];
  assert.deepEqual(card({ ...ID, ...COUNT }), expected);
  const changing = card({ ...ID, ...COUNT, order: 'newest-first', time: TIME, version: ['changed'] });
  assert.deepEqual(changing, expected.with(4, 'what is new'));
  assert.deepEqual(card({ ...ID, ...COUNT, total: { path: ['total'] } }), expected);
});

test('no id', () => {
  const expected = ['no: equal records are one', 'yes, by cursor or time', 'yes', 'by time', 'what is new', 'weak'];
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
  assert.match(once, /^Each id is one row.* Records of one at are read by counted pages/);
  const life = { next: { token: { path: ['next'], param: 'cursor', life: '116s' } } };
  assert.match(sentences({ ...ID, ...life })[1] ?? '', /while its cursor lives \(116s\)/);
  const capped = sentences({ ...ID, ...TOKEN, more: { path: ['has_more'] }, time: { ...TIME, cap: 10_000 } });
  assert.match(capped[5] ?? '', /when has_more says that nothing follows.* A list of 10000 records ends with code 5/);
  const later = (said: object) => sentences({ ...ID, ...TOKEN, ...said })[4] ?? '';
  assert.match(later({ ...BOTH, version: ['changed'] }), /looks back.* It sees no new changed of records before that/);
  assert.doesNotMatch(later({ ...BOTH, version: ['at'] }), /It sees no/);
  assert.match(later({ time: { ...TIME, until: 'to' }, order: 'newest-first' }), /some pages further/);
  assert.doesNotMatch(later({ time: { ...TIME, since: 'from' }, order: 'oldest-first' }), /some pages further/);
  for (const said of [{ ...ID, ...LAST }, { ...TOKEN, ...BOTH }, TOKEN, COUNT]) {
    for (const sentence of sentences(said)) assert.match(sentence, /^[A-Z].*\.$/);
  }
});
