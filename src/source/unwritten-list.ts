/**
 * An empty list that is not written as one: many servers write `null`, others leave it out. It is believed only where nothing else of the
 * answer could be the list, or speaks of a failure.
 */
import { valueAt } from './answer-values.ts';
import type { FilledDescription } from './fill-in.ts';

const MAX_DEPTH = 5;
const SUCCESS = /^(?:success|succeeded|ok)$/i;
const FAILURE = /(?:^|_)errors?$|Errors?$|^(?:fault|failure|exception)$/i;
const WORDS = /^(?:message|msg|detail|details|reason|title|status|status_?code|code)$/i;
const FINE = /^(?:|0|200|ok|success\w*|done)$/i;

/** @param body of an answer without a list at `records` */
export function isEmptyList({ description: { records, more } }: FilledDescription, body: unknown): boolean {
  const value = valueAt(body, records);
  // Left out is no word of its own: the answer must have the one that says whether more follows.
  const isLeftOut = value === undefined && more.kind === 'path' && (valueAt(body, more.path) ?? null) !== null;
  return (value === null || isLeftOut) && !hasMoreToSay(body);
}

/** A list of anything, or words of a failure. */
function hasMoreToSay(value: unknown, depth = 0): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value !== 'object' || value === null) return false;
  if (depth > MAX_DEPTH) return true;
  return Object.entries(value).some(([key, member]) => speaksOfFailure(key, member) || hasMoreToSay(member, depth + 1));
}

function speaksOfFailure(key: string, value: unknown): boolean {
  const isNothing = value === null || value === false || value === 0 || value === '';
  const isFine = ['string', 'number'].includes(typeof value) && FINE.test(String(value));
  if (SUCCESS.test(key)) return value !== true && !isFine;
  if (FAILURE.test(key)) return !isNothing && !(typeof value === 'object' && Object.keys(value).length === 0);
  return WORDS.test(key) && !isNothing && !isFine && value !== true;
}
