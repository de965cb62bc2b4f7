/** What a word of a description can hold. */
import { z } from 'zod';

/** Keys from the outside in; none is the body itself. */
export type KeyPath = readonly string[];

export function isWithin(path: KeyPath, outer: KeyPath): boolean {
  return outer.every((key, index) => path[index] === key);
}

export function isSamePath(path: KeyPath, other: KeyPath): boolean {
  return path.length === other.length && isWithin(path, other);
}

const UNITS_MS = { us: 0.001, ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const DURATION = /^(\d+)(us|ms|s|m|h|d)$/;
const MAX_KEYS = 16;

/** `116s`, `30d`; the value is milliseconds. */
export const duration = z
  .string('expected a number with a unit, like 116s or 30d')
  .regex(DURATION, 'expected a number with one of the units us, ms, s, m, h, d, like 116s or 30d')
  .transform((text, context) => {
    const [, digits = '', unit = ''] = DURATION.exec(text) ?? [];
    const value = Number(digits) * (Object.entries(UNITS_MS).find(([name]) => name === unit)?.[1] ?? 0);
    if (value > 0) return value;
    context.addIssue('expected more than nothing');
    return z.NEVER;
  });

export const someText = z.string('expected a text').min(1, 'expected a text that is not empty');

const PATH = 'expected a list of keys, like [data] or [meta, total]';

export const keyPath = z
  .array(z.string('expected a key, as a text').min(1, 'expected a key that is not empty'), PATH)
  .min(1, PATH)
  .max(MAX_KEYS, `expected at most ${MAX_KEYS} keys`);

/** As {@link keyPath}, and `[]`, which is the body itself. */
export const listPath = z
  .array(z.string('expected a key, as a text').min(1, 'expected a key that is not empty'), `${PATH}; [] is the body`)
  .max(MAX_KEYS, `expected at most ${MAX_KEYS} keys`);

/** Its name in lower case: headers are told apart without case. */
export const headerName = z
  .string('expected the name of a header')
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 'expected the name of a header')
  .transform((name) => name.toLowerCase());

/** Where a request says something: a parameter of its query, or a member of its body. */
export type RequestPlace = { readonly param: string } | { readonly bodyPath: KeyPath };

/** Where an answer says something. */
export type AnswerPlace = { readonly path: KeyPath } | { readonly header: string };

export const requestPlaceWords = {
  param: someText.optional().describe('The parameter of the address that takes it.'),
  bodyPath: keyPath.optional().describe('Where the body of the request takes it, instead of param.'),
};
export const answerPlaceWords = {
  path: keyPath.optional().describe('Where the body of the answer has it.'),
  header: headerName.optional().describe('The header of the answer that has it, instead of path.'),
};

interface Context {
  readonly addIssue: (message: string) => void;
}

export function requestPlace(
  { param, bodyPath }: { readonly param?: string | undefined; readonly bodyPath?: KeyPath | undefined },
  context: Context,
): RequestPlace {
  if (param !== undefined && bodyPath === undefined) return { param };
  if (bodyPath !== undefined && param === undefined) return { bodyPath };
  context.addIssue('expected one of param (of the query) and bodyPath (in the body)');
  return z.NEVER;
}

export function answerPlace(
  { path, header }: { readonly path?: KeyPath | undefined; readonly header?: string | undefined },
  context: Context,
): AnswerPlace {
  if (path !== undefined && header === undefined) return { path };
  if (header !== undefined && path === undefined) return { header };
  context.addIssue('expected one of path (in the body) and header');
  return z.NEVER;
}
