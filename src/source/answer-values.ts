/** Values of an answer, found by the paths of a description. */
import type { AnswerHeaders } from '../core/encoded-page.ts';
import type { AnswerPlace, KeyPath } from './kinds.ts';

/** `undefined` where the path leads nowhere. */
export function valueAt(json: unknown, path: KeyPath): unknown {
  let value = json;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key))
      return undefined;
    value = Object.getOwnPropertyDescriptor(value, key)?.value;
  }
  return value;
}

export function valueIn(envelope: unknown, headers: AnswerHeaders, place: AnswerPlace): unknown {
  return 'path' in place ? valueAt(envelope, place.path) : (headers.get(place.header) ?? undefined);
}

/** What PostgreSQL cannot hold as text: NUL, and halves of characters. */
const UNFIT = /[\0\p{Cs}]/u;

/** A value that a request can send back, nothing (also `null`, `false`, an empty text), or why it can not be sent. */
export type SentBack =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'unfit'; readonly why: string };

/** @param value a number with more digits than a double holds must come as a bigint */
export function toSendBack(value: unknown): SentBack {
  if (value === undefined || value === null || value === '' || value === false) return { kind: 'nothing' };
  if (typeof value === 'bigint') return { kind: 'text', text: String(value) };
  if (typeof value === 'number') {
    return Math.abs(value) <= Number.MAX_SAFE_INTEGER
      ? { kind: 'text', text: String(value) }
      : { kind: 'unfit', why: 'a number with too many digits' };
  }
  if (typeof value !== 'string') return { kind: 'unfit', why: 'neither a text nor a number' };
  return UNFIT.test(value) ? { kind: 'unfit', why: 'a text with broken characters' } : { kind: 'text', text: value };
}
