/** What users of tools that read descriptions of APIs complain of, each against an API of its own. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { stringify } from 'yaml';
import { guaranteesOf } from '../../../src/source/guarantees.ts';
import { readDescription } from '../../../src/source/read-description.ts';
import { caseOf, STOPPED } from '../../descriptions/kept.ts';
import { play, type Played } from '../../descriptions/play.ts';
import type { Case } from '../../descriptions/drawn-case.ts';
import { tellCase, tellPlayed } from '../../descriptions/story.ts';
import { testDatabase } from '../../support/database.ts';
import { assertCode, DescribedScene } from '../../support/described-scene.ts';

/** Every end keeps to the law: after 0 each record is a row. */
async function playWell(t: TestContext, drawn: Case): Promise<Played['ends']> {
  const { url } = await testDatabase(t);
  const played = await play(drawn, url);
  assert.equal(played.breach, null, `${tellCase(drawn)}\n${tellPlayed(played, { log: false })}`);
  return played.ends;
}

const codes = (ends: Played['ends']): number[] => ends.map(({ end }) => end.code);

void test('a load that was stopped goes on where it was, and not from the top', async (t) => {
  const [, next] = await playWell(t, caseOf({ words: { next: 'last-id' }, starts: [STOPPED] }));
  assert.match(next?.requests[0] ?? '', /after=/);
});

void test('no gaps at the borders of windows, whose bounds the API does not count in', async (t) => {
  const words = { next: 'link', order: 'newest-first', bounds: 'both', hasTime: true, more: 'flag' } as const;
  await playWell(
    t,
    caseOf({ words, api: { sinceInclusive: false, untilInclusive: false }, data: { count: 150, perInstant: 3 } }),
  );
});

void test('a chain that the API ends in silence after some records is no end', async (t) => {
  const words = { hasTime: true, cap: 10, order: 'oldest-first' } as const;
  const ends = await playWell(t, caseOf({ words }));
  assert.deepEqual(codes(ends), [5]);
  assert.match(ends[0]?.end.reason ?? '', /10 records/);
});

void test('a chain that ends before it is cut off is complete, whatever its pages had before a stop', async (t) => {
  const words = { hasTime: true, cap: 40, order: 'oldest-first' } as const;
  const small = { ...STOPPED, flags: { ...STOPPED.flags, pageSize: 2 } };
  const ends = await playWell(t, caseOf({ words, data: { count: 39 }, starts: [small] }));
  assert.deepEqual(codes(ends), [143, 0, 0]);
});

void test('short and empty pages in the middle of a list are no end', async (t) => {
  const ends = await playWell(t, caseOf({ words: { more: 'flag' }, api: { shortEvery: 2, emptyEvery: 3 } }));
  assert.deepEqual(codes(ends), [0, 0]);
});

void test('one page, and no word of the others where the description looks for it: code 2, and no row', async (t) => {
  const rewrite = (text: string): string =>
    text.replace(/^next: .*$/m, 'next: { link: { path: [no_such_url] } }').replace(/^(more|limits): .*\n/gm, '');
  const scene = await DescribedScene.open(t, 'zendesk-tickets', { count: 150, rewrite });
  const end = await scene.ingest(['--page-size', '100']);
  assertCode(end, 2);
  assert.match(end.reason, /no \[no_such_url\].*an object with tickets, after_url/);
});

void test('a limit that the description has wrong costs some refusals, and no record', async (t) => {
  const rewrite = (text: string): string => text.replace(/perSecond: \d+/, 'perSecond: 1000');
  const limit = { requests: 8, windowMs: 1_000 };
  const scene = await DescribedScene.open(t, 'stripe-events', { count: 180, limit, rewrite });
  await scene.ingestAll(['--page-size', '10']);
  assert.ok(scene.stub.refusals < scene.stub.requests / 2, `${scene.stub.refusals} of ${scene.stub.requests} refused`);
});

void test('a list that is not in the order by which it is read: code 2', async (t) => {
  const words = { next: 'last-time', order: 'newest-first', more: 'flag' } as const;
  const [end] = await playWell(t, caseOf({ words, api: { isUnordered: true } }));
  assert.equal(end?.end.code, 2);
  assert.match(end.end.reason, /not in the order that its description says/);
});

void test('page numbers over a list from which records vanish: the card says what cannot be promised', async (t) => {
  const starts = [
    {
      ...STOPPED,
      end: { how: 'runs', atRequest: 0, delayMs: 0 },
      changes: [{ atRequest: 3, add: 0, remove: 9, touch: 0 }],
    } as const,
  ];
  const drawn = caseOf({ words: { next: 'count' }, starts });
  const { description } = readDescription(stringify(drawn.words));
  assert.ok(description !== null);
  const { exactlyOnce, proof } = guaranteesOf(description);
  assert.deepEqual([exactlyOnce.answer, proof.answer], ['no: can skip', 'not proven: walk it again']);
  // The next walk brings what the first one has skipped.
  assert.deepEqual(codes(await playWell(t, drawn)), [0, 0, 0]);
});
