/** Random targets: what is drawn shrinks towards a plain table and a plain source. */
import fc from 'fast-check';
import { PART_GROUPS } from './target-parts.ts';

export type OnConflict = 'ignore' | 'update';
export type IdType = 'uuid' | 'text';

/** `owner` owns all; `granted` has the rights to read, insert and update; the others lack one right. */
export const ROLES = [
  'superuser',
  'owner',
  'granted',
  'no update',
  'no insert',
  'no select',
  'no schema',
  'some columns',
] as const;

export const FORMS = [
  'plain',
  'unlogged',
  'by hash',
  'by range',
  'by range with a gap',
  'by hash, one of another owner',
] as const;

export interface Draw {
  readonly form: (typeof FORMS)[number];
  readonly idType: IdType;
  /** Names of parts, in the order of their groups. */
  readonly parts: readonly string[];
  readonly role: (typeof ROLES)[number];
  /** Rows that stand there before the job comes; some have the id of an event. */
  readonly others: { readonly rows: number; readonly withIdsOfEvents: number };
  readonly source: {
    readonly count: number;
    readonly ids: 'uuid' | 'text' | 'mixed';
    /** Of a hundred events, so many are marked `bad`, and so many `worse`. */
    readonly marked: number;
    /** Ids that come twice. */
    readonly doubled: number;
    readonly newer: number;
    readonly changed: number;
  };
  readonly load: {
    readonly onConflict: OnConflict;
    readonly later: OnConflict;
    readonly pageSize: number;
    /** The end of the first start: a stop or a kill when this share of the pages was asked for. */
    readonly end: 'stop' | 'kill';
    readonly at: number;
    /** The second start waits in the middle until a merge is closed. */
    readonly mergesBetween: boolean;
    readonly laterInFull: boolean;
    readonly concurrency: number;
  };
}

/** The first choice most of the time. */
function mostly<const T, const U>(weight: number, usual: T, ...others: readonly U[]): fc.Arbitrary<T | U> {
  return fc.oneof(
    { weight, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom<T | U>(usual, ...others) },
  );
}

/** A part of a group, or none; every fourth group has one. */
const parts = fc
  .tuple(
    ...Object.values(PART_GROUPS).map((group) =>
      fc.oneof(
        { weight: 3, arbitrary: fc.constant(null) },
        { weight: 1, arbitrary: fc.constantFrom(...group.map(({ name }) => name)) },
      ),
    ),
  )
  .map((names) => names.filter((name) => name !== null));

export const draws: fc.Arbitrary<Draw> = fc.record({
  form: mostly(2, 'plain', ...FORMS),
  idType: mostly(2, 'uuid', 'text'),
  parts,
  role: mostly(2, 'superuser', 'owner', 'owner', 'owner', 'granted', 'granted', 'granted', ...ROLES),
  others: fc.record({ rows: mostly(1, 0, 7, 40), withIdsOfEvents: mostly(3, 0, 3) }),
  source: fc.record({
    count: fc.integer({ min: 120, max: 400 }),
    ids: mostly(3, 'uuid', 'text', 'mixed'),
    marked: fc.constantFrom(1, 4, 12, 20, 25),
    doubled: mostly(1, 0, 5, 40),
    newer: fc.integer({ min: 1, max: 40 }),
    changed: fc.integer({ min: 1, max: 60 }),
  }),
  load: fc.record({
    onConflict: fc.constantFrom('ignore', 'update'),
    later: fc.constantFrom('update', 'ignore'),
    pageSize: fc.integer({ min: 30, max: 90 }),
    end: mostly(3, 'stop', 'kill'),
    at: fc.integer({ min: 20, max: 95 }),
    mergesBetween: mostly(4, false, true),
    laterInFull: mostly(2, true, false),
    concurrency: mostly(3, 1, 3),
  }),
});

export function drawOf(seed: number): Draw {
  const [draw] = fc.sample(draws, { seed, numRuns: 1 });
  if (draw === undefined) throw new Error('nothing was drawn');
  return draw;
}
