/**
 * The description of a source: what its YAML file may say, word by word, and nothing else. docs/sources.md explains it to
 * people; sources/schema.json, which editors read, is made from here. What several words must keep together is in
 * description-rules.ts.
 */
import { z } from 'zod';
import {
  answerPlace,
  answerPlaceWords,
  duration,
  headerName,
  keyPath,
  listPath,
  requestPlace,
  requestPlaceWords,
  someText,
} from './kinds.ts';
import { nextWord } from './next-word.ts';

const COLUMN_TYPES = ['text', 'uuid', 'bigint', 'numeric', 'boolean', 'timestamptz', 'jsonb'] as const;
const TIME_FORMATS = ['iso', 's', 'ms'] as const;
const ORDERS = ['newest-first', 'oldest-first', 'none'] as const;
/** What remains of PostgreSQL's 63 bytes for the names of helpers. */
const TABLE_NAME = /^[a-z_][a-z\d_]{0,47}$/;
const COLUMN_NAME = /^[a-z_][a-z\d_]{0,62}$/;

const scalar = z
  .union([z.string(), z.number(), z.boolean()], 'expected a text, a number, true or false')
  .transform(String);

const auth = z
  .strictObject({
    bearer: someText.optional().describe('A token, sent as "Authorization: Bearer …".'),
    header: z
      .strictObject({ name: headerName.describe('Its name.'), value: someText.describe('Its value.') })
      .optional()
      .describe('A header that holds the key.'),
    basic: z
      .strictObject({
        user: z.string('expected a text').describe('The user.'),
        password: z.string('expected a text').describe('The password; may be empty.'),
      })
      .optional()
      .describe('User and password, as HTTP basic.'),
    query: z
      .strictObject({ param: someText.describe('Its name.'), value: someText.describe('Its value.') })
      .optional()
      .describe('A parameter of the address that holds the key. Others log it: use a header where the API takes one.'),
  })
  .transform(({ bearer, header, basic, query }, context) => {
    const given = [
      bearer === undefined ? [] : [{ kind: 'bearer' as const, token: bearer }],
      header === undefined ? [] : [{ kind: 'header' as const, ...header }],
      basic === undefined ? [] : [{ kind: 'basic' as const, ...basic }],
      query === undefined ? [] : [{ kind: 'query' as const, ...query }],
    ].flat();
    const [only] = given;
    if (only !== undefined && given.length === 1) return only;
    context.addIssue('expected one of bearer, header, basic and query');
    return z.NEVER;
  });

const size = z
  .strictObject({
    ...requestPlaceWords,
    max: z
      .int('expected a whole number')
      .min(1, 'expected 1 or more')
      .max(1_000_000, 'expected 1000000 or less')
      .describe('The most records that the API gives in one page.'),
  })
  .transform(({ max, ...place }, context) => ({ max, at: requestPlace(place, context) }));

const more = z
  .union(
    [
      z.enum(['next-absent', 'short-page'], 'expected next-absent, short-page, or one of path and link'),
      z.strictObject({
        path: keyPath.optional().describe('Where the answer says whether more follows.'),
        is: z
          .union([z.boolean(), z.string(), z.number()])
          .optional()
          .describe('The value that says that more follows; by default true.'),
        link: z.literal('next', 'expected next').optional().describe('The header Link has rel="next".'),
      }),
    ],
    'expected next-absent, short-page, or one of path and link',
  )
  .transform((said, context) => {
    if (typeof said === 'string') return { kind: said };
    const { path, is, link } = said;
    if (path !== undefined && link === undefined) return { kind: 'path' as const, path, is: is ?? true };
    if (link !== undefined && path === undefined && is === undefined) return { kind: 'link' as const };
    context.addIssue('expected one of path (with is) and link');
    return z.NEVER;
  });

const time = z.strictObject({
  path: keyPath.describe('Where a record has the time by which the API sorts and filters.'),
  since: someText.optional().describe('The parameter of the lower bound, if there is one.'),
  until: someText.optional().describe('The parameter of the upper bound, if there is one.'),
  format: z
    .enum(TIME_FORMATS, 'expected iso, s or ms')
    .describe('How times and bounds are written: ISO 8601, or seconds or milliseconds since 1970.'),
  granularity: duration.describe('The smallest step of these times, like 1s; bounds are widened by one.'),
  reach: duration.optional().describe('How far back the API goes, like 30d.'),
  cap: z
    .int('expected a whole number')
    .min(1, 'expected 1 or more')
    .optional()
    .describe(
      'The number of records after which a chain of pages ends as if it were complete; no millisecond may have as many. Where the API refuses with an error, it is not needed.',
    ),
});

const limits = z.strictObject({
  perSecond: z.number('expected a number').positive('expected more than 0').optional().describe('Requests a second.'),
  family: z
    .enum(['ietf', 'shopify', 'hubspot', 'discord'], 'expected ietf, shopify, hubspot or discord')
    .optional()
    .describe('Whose limit headers these are, for readers: the job reads the usual names, and learns from refusals.'),
  refusedBy: z
    .array(
      z.strictObject({
        status: z
          .int('expected a status')
          .min(400, 'expected 400 to 499')
          .max(499, 'expected 400 to 499')
          .describe('The status, from 400 to 499.'),
        remaining: z.literal(0, 'expected 0').optional().describe('Only where the headers say that nothing is left.'),
      }),
      'expected a list, like [{ status: 403, remaining: 0 }]',
    )
    .min(1, 'expected at least one status')
    .optional()
    .describe('Answers that mean "later", besides 429.'),
});

const code = z.union([z.string().min(1), z.number()], 'expected a code, like invalid_cursor').transform(String);
const codes = z.array(code, 'expected a list of codes, like [invalid_cursor]').min(1, 'expected at least one code');

const errors = z.strictObject({
  path: keyPath.describe(
    'Where a body under 200 says that it is an error: anything but null, false and an empty text.',
  ),
  code: keyPath.optional().describe("Where the error's code is, if not at path."),
  stale: codes.optional().describe('Codes that mean: this cursor does not work any more.'),
  refusedKey: codes.optional().describe('Codes that mean: this key is not taken.'),
  empty: codes.optional().describe('Codes that mean: there are no records.'),
});

const column = z.strictObject({
  path: keyPath.describe('Where the record has the value.'),
  type: z.enum(COLUMN_TYPES, `expected one of ${COLUMN_TYPES.join(', ')}`).describe('A type of PostgreSQL.'),
});

export const descriptionSchema = z.strictObject({
  name: z
    .string('expected a name')
    .regex(/^[a-z][a-z\d_-]{0,39}$/, 'expected at most 40 small letters, digits, - and _, a letter first')
    .describe('The name of the source, and of its table unless table says otherwise.'),
  table: z
    .string('expected the name of a table')
    .regex(TABLE_NAME, 'expected at most 48 small letters, digits and _, no digit first')
    .optional()
    .describe('The table, in the schema public.'),
  url: someText.describe('The address that is asked, without its paging.'),
  method: z.enum(['GET', 'POST'], 'expected GET or POST').default('GET').describe('GET unless POST is said.'),
  headers: z.record(headerName, scalar, 'expected names and values').default({}).describe('Headers, besides the key.'),
  query: z.record(someText, scalar, 'expected names and values').default({}).describe('Parameters of the address.'),
  body: z
    .record(z.string(), z.json(), 'expected an object')
    .optional()
    .describe('The body of a POST, as JSON, without its paging.'),
  auth: auth.optional().describe('How the key is sent: one of bearer, header, basic, query.'),
  records: listPath.describe('Where the list of records is in an answer; [] when the body is the list.'),
  size: size.optional().describe('How many records a request asks for.'),
  next: nextWord.describe('How the next page is asked for: one of token, link, lastRecord, count.'),
  more: more
    .default({ kind: 'next-absent' })
    .describe('How an answer says whether more follows: next-absent, short-page, or path with is, or link.'),
  order: z
    .enum(ORDERS, 'expected newest-first, oldest-first or none')
    .default('none')
    .describe('The order of the list, by time.'),
  time: time.optional().describe('The time of a record, and how to ask by it.'),
  id: keyPath.optional().describe('What tells records apart.'),
  version: keyPath.optional().describe('What rises when a record changes: the newer one is kept.'),
  columns: z
    .record(z.string().regex(COLUMN_NAME, 'expected small letters, digits and _'), column, 'expected names of columns')
    .default({})
    .describe('Columns of the table. Everything else of a record goes to extra.'),
  total: z
    .strictObject(answerPlaceWords)
    .transform((place, context) => answerPlace(place, context))
    .optional()
    .describe('Where an answer says how many records the whole list has, whatever is asked for.'),
  limits: limits.optional().describe('What the API grants, where its headers do not say it.'),
  errors: errors.optional().describe('Bodies that are errors under a status 200.'),
});

/** As the file says it, `${NAME}` included: this is what is stored, and it holds no secret. Moments and durations are ms. */
export type Description = Readonly<z.output<typeof descriptionSchema>>;

export type Auth = NonNullable<Description['auth']>;
export type TimeWord = NonNullable<Description['time']>;
