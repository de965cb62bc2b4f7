/** The word `next` of a description: the four ways in which APIs let the next page be asked for. */
import { z } from 'zod';
import {
  answerPlace,
  answerPlaceWords,
  duration,
  keyPath,
  requestPlace,
  requestPlaceWords,
  someText,
  type AnswerPlace,
  type KeyPath,
  type RequestPlace,
} from './kinds.ts';

export interface CountWord {
  readonly param: string;
  readonly first: number;
  /** 1 counts pages; more counts records (an offset), and is the size of a page. */
  readonly step: number;
}

export type NextWord =
  | { readonly kind: 'token'; readonly from: AnswerPlace; readonly to: RequestPlace; readonly lifeMs: number | null }
  /** The answer has the whole address of the next page: in the header Link, or in the body. */
  | { readonly kind: 'link'; readonly from: 'header' | KeyPath }
  | {
      readonly kind: 'lastRecord';
      readonly path: KeyPath;
      readonly param: string;
      /** The page begins with the record that was named. */
      readonly inclusive: boolean;
      /** How to go on among records of one key. */
      readonly within: CountWord | null;
    }
  | ({ readonly kind: 'count' } & CountWord);

const count = z.strictObject({
  param: someText.describe('The parameter that counts.'),
  first: z.int('expected a whole number').min(0, 'expected 0 or more').describe('Its value for the first page.'),
  step: z
    .int('expected a whole number')
    .min(1, 'expected 1 or more')
    .describe('1: it counts pages. The size of a page: it counts records.'),
});

const token = z
  .strictObject({
    ...answerPlaceWords,
    ...requestPlaceWords,
    life: duration.optional().describe('How long the token works after its answer came, like 116s.'),
  })
  .transform((said, context) => ({
    kind: 'token' as const,
    from: answerPlace(said, context),
    to: requestPlace(said, context),
    lifeMs: said.life ?? null,
  }));

const lastRecord = z
  .strictObject({
    path: keyPath.describe("Where the page's last record has the value."),
    param: someText.describe('The parameter that takes it.'),
    inclusive: z
      .boolean('expected true or false')
      .default(false)
      .describe('The next page begins with the record that was named.'),
    within: z
      .strictObject({ count: count.describe('Page numbers under one value.') })
      .optional()
      .describe('How to go on among records of one value.'),
  })
  .transform(({ within, ...said }) => ({ kind: 'lastRecord' as const, ...said, within: within?.count ?? null }));

const link = z
  .union(
    [z.literal('header'), z.strictObject({ path: keyPath.describe('Where the body of the answer has it.') })],
    'expected header, or path with a list of keys',
  )
  .transform((said) => ({ kind: 'link' as const, from: said === 'header' ? said : said.path }));

export const nextWord = z
  .strictObject(
    {
      token: token.optional().describe('The answer has a text that asks for the next page.'),
      link: link
        .optional()
        .describe('The answer has the address of the next page, on the same host: header (the header Link), or path.'),
      lastRecord: lastRecord.optional().describe("A value of the page's last record asks for the next page."),
      count: count.optional().describe('Page numbers, or an offset.'),
    },
    {
      error: (issue) => (issue.code === 'invalid_type' ? 'expected one of token, link, lastRecord, count' : undefined),
    },
  )
  .transform((said, context): NextWord => {
    const given: NextWord[] = [said.token, said.link, said.lastRecord].filter((way) => way !== undefined);
    if (said.count !== undefined) given.push({ kind: 'count', ...said.count });
    const [only] = given;
    if (only !== undefined && given.length === 1) return only;
    context.addIssue(
      given.length === 0
        ? 'expected one of token, link, lastRecord, count'
        : `expected one way, got ${Object.keys(said).join(' and ')}`,
    );
    return z.NEVER;
  });
