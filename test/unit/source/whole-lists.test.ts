/** Lists of any length, walked to their end in each way to the next page: every record comes, and the walk ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { FilledDescription } from '../../../src/source/fill-in.ts';
import { nextPosition, type AnsweredPage } from '../../../src/source/next-position.ts';
import { requestShape } from '../../../src/source/request-shape.ts';
import { described, headers } from './described.ts';

interface Thing {
  readonly id: number;
  /** Rises with the id; several things can share it. */
  readonly at: string;
}

type Answer = Pick<AnsweredPage, 'envelope' | 'headers'> & { readonly things: readonly Thing[] };
type Api = (query: URLSearchParams, things: readonly Thing[], size: number) => Answer;

const numberIn = (query: URLSearchParams, name: string, otherwise: number): number =>
  Number(query.get(name) ?? otherwise);

/** A page of `things` from a place on, and where the next one begins; null behind the last. */
function cut(things: readonly Thing[], from: number, size: number): { page: readonly Thing[]; next: number | null } {
  const next = from + size;
  return { page: things.slice(from, next), next: next < things.length ? next : null };
}

const WAYS: Readonly<Record<string, { readonly said: object; readonly api: Api }>> = {
  'a token, without another word about the end': {
    said: {},
    api: (query, things, size) => {
      const { page, next } = cut(things, numberIn(query, 'cursor', 0), size);
      return { things: page, envelope: { next }, headers: headers() };
    },
  },
  'a token and a flag': {
    said: { more: { path: ['has_more'] } },
    api: (query, things, size) => {
      const { page, next } = cut(things, numberIn(query, 'cursor', 0), size);
      return { things: page, envelope: { next: next ?? 'left over', has_more: next !== null }, headers: headers() };
    },
  },
  'links in a header': {
    said: { next: { link: 'header' } },
    api: (query, things, size) => {
      const { page, next } = cut(things, numberIn(query, 'from', 0), size);
      const first = '<?from=0>; rel="first"';
      const link = next === null ? first : `${first}, <?limit=${size}&from=${next}>; rel="next"`;
      return { things: page, envelope: {}, headers: headers({ link }) };
    },
  },
  'the id of the last record': {
    said: { next: { lastRecord: { path: ['id'], param: 'after' } }, id: ['id'] },
    api: (query, things, size) => {
      const left = things.filter(({ id }) => id > numberIn(query, 'after', -1));
      return { things: left.slice(0, size), envelope: {}, headers: headers() };
    },
  },
  'the id of the last record, which comes again': {
    said: { next: { lastRecord: { path: ['id'], param: 'from', inclusive: true } }, id: ['id'] },
    api: (query, things, size) => {
      const left = things.filter(({ id }) => id >= numberIn(query, 'from', -1));
      return { things: left.slice(0, size), envelope: {}, headers: headers() };
    },
  },
  'the time of the last record, which many may have': {
    said: {
      next: {
        lastRecord: {
          path: ['at'],
          param: 'since',
          inclusive: true,
          within: { count: { param: 'page', first: 1, step: 1 } },
        },
      },
      more: { link: 'next' },
    },
    api: (query, things, size) => {
      const left = things.filter(({ at }) => at >= (query.get('since') ?? ''));
      const { page, next } = cut(left, (numberIn(query, 'page', 1) - 1) * size, size);
      return { things: page, envelope: {}, headers: headers(next === null ? {} : { link: '</>; rel="next"' }) };
    },
  },
  'page numbers, until a page is empty': {
    said: { next: { count: { param: 'page', first: 0, step: 1 } } },
    api: (query, things, size) => {
      return { things: cut(things, numberIn(query, 'page', 0) * size, size).page, envelope: {}, headers: headers() };
    },
  },
  'an offset, until a page is short': {
    said: { next: { count: { param: 'offset', first: 0, step: 100 } }, more: 'short-page' },
    api: (query, things, size) => {
      return { things: cut(things, numberIn(query, 'offset', 0), size).page, envelope: {}, headers: headers() };
    },
  },
};

/** What came, in the order in which it came. @throws when the walk does not end by the description's word */
function walk(source: FilledDescription, api: Api, things: readonly Thing[], limit: number): Thing[] {
  const served: Thing[] = [];
  let position: string | null = null;
  let mostBefore = 0;
  let isMoreKnown = false;
  for (let pages = 0; pages <= 3 * things.length + 3; pages += 1) {
    const { url } = requestShape(source, { position, limit, sinceMs: null, untilMs: null });
    const answer = api(url.searchParams, things, Number(url.searchParams.get('limit')));
    served.push(...answer.things);
    const records = answer.things.length;
    const ends = { firstRecord: answer.things[0], lastRecord: answer.things.at(-1) };
    const after = nextPosition(source, { ...answer, ...ends, url, position, limit, records, mostBefore, isMoreKnown });
    mostBefore = Math.max(mostBefore, records);
    isMoreKnown ||= after.kind === 'next';
    if (after.kind === 'end') return served;
    assert.ok(after.kind === 'next', JSON.stringify(after));
    position = after.position;
  }
  throw new Error('the walk does not end');
}

/** The steps between the times of neighbours, 0 for the same time. */
const lists = fc.array(fc.constantFrom(0, 0, 0, 1), { maxLength: 40 }).map((steps) => {
  let second = 0;
  return steps.map((step, id): Thing => {
    second += step;
    return { id, at: `2026-09-24T10:00:${String(second).padStart(2, '0')}Z` };
  });
});

for (const [name, { said, api }] of Object.entries(WAYS)) {
  test(`a whole list by ${name}`, () => {
    const source = described(said);
    fc.assert(
      fc.property(lists, fc.integer({ min: 2, max: 7 }), (things, limit) => {
        const served = walk(source, api, things, limit);
        assert.deepEqual(
          [...new Set(served.map(({ id }) => id))],
          things.map(({ id }) => id),
        );
      }),
      { numRuns: 60 },
    );
  });
}
