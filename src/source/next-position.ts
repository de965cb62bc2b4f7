/**
 * What an answer means for the walk that asked for it: where it goes on, that the list has ended, or what is wrong. Pure. The
 * absence of a word is an end only where the description says that it is.
 */
import type { AnswerHeaders } from '../core/encoded-page.ts';
import { toSendBack, valueAt, valueIn } from './answer-values.ts';
import type { FilledDescription } from './fill-in.ts';
import type { KeyPath } from './kinds.ts';
import { keepLink } from './kept-link.ts';
import { nextLink } from './link-header.ts';
import type { CountWord, NextWord } from './next-word.ts';
import { lacksNamedRecord } from './named-record.ts';
import { readKeyAndCount, writeKeyAndCount } from './positions.ts';

export interface AnsweredPage {
  /** The body without its records; `null` where the body is the list. Numbers that a double cannot hold must be bigints. */
  readonly envelope: unknown;
  readonly headers: AnswerHeaders;
  readonly records: number;
  /** `null` for a page without records, `undefined` for a broken one. Numbers as in the envelope. */
  readonly firstRecord: unknown;
  readonly lastRecord: unknown;
  /** The address that was asked: a link may be written from there. */
  readonly url: URL;
  /** As they were asked for. */
  readonly position: string | null;
  readonly limit: number;
  /** The most records that a page before it had; 0: there is none. */
  readonly mostBefore: number;
  /** A page before it has said that more follows. */
  readonly isMoreKnown: boolean;
  readonly hasNoContent?: boolean;
}

/** By which word of the description a list ends. */
export type EndWord = 'more' | 'next-absent' | 'short-page' | 'empty';

export type NextPosition =
  | { readonly kind: 'next'; readonly position: string }
  /** `shownBy`: what stands there shows whether it is one. */
  | { readonly kind: 'end'; readonly by: EndWord; readonly shownBy?: string }
  /** Neither is said as the description has it: ask again, and believe in no end. */
  | { readonly kind: 'unclear'; readonly why: string }
  /** The body is an error. `code` comes from outside. */
  | { readonly kind: 'stale-cursor' | 'key-refused' | 'error'; readonly code: string | null }
  /** The page was asked for from a record that is not on it: nothing shows where it stands, and an end of it is none. */
  | { readonly kind: 'record-gone'; readonly why: string }
  /** The next page would be asked for on another host: no request may go there, because it would take the key with it. */
  | { readonly kind: 'foreign-link'; readonly why: string };

type Way<K extends NextWord['kind']> = Extract<NextWord, { kind: K }>;

/** A way to the next page that is not there: `null`. */
type Found = string | null | Exclude<NextPosition, { kind: 'next' | 'end' }>;

/** An empty list, of an API that says so otherwise. */
const NOTHING: NextPosition = { kind: 'end', by: 'empty' };

export function nextPosition(source: FilledDescription, page: AnsweredPage): NextPosition {
  const failed = page.hasNoContent === true ? NOTHING : failureIn(source, page);
  if (failed !== null && failed.kind !== 'end') return failed;
  const gone = lacksNamedRecord(source.description, page);
  if (gone !== null) return { kind: 'record-gone', why: gone };
  if (failed !== null) return failed;
  const said = saysMore(source, page);
  if (typeof said === 'string') return unclear(said);
  if (said === false) return saidEnd(source, page);
  const found = wayOn(source, page);
  if (typeof found === 'string') return { kind: 'next', position: found };
  if (found !== null) return found;
  if (said === null) return { kind: 'end', by: 'next-absent' };
  return unclear('the answer says that more follows, and not how to ask for it');
}

/** What the body says is wrong, under whatever status; `null` when it says nothing. */
export function failureIn(
  { description: { errors } }: FilledDescription,
  { envelope }: Pick<AnsweredPage, 'envelope'>,
): NextPosition | null {
  if (errors === undefined) return null;
  const found = valueAt(envelope, errors.path);
  if (found === undefined || found === null || found === false || found === '') return null;
  const value = toSendBack(errors.code === undefined ? found : valueAt(envelope, errors.code));
  const code = value.kind === 'text' ? value.text : null;
  const isOneOf = (codes: readonly string[] | undefined): boolean => code !== null && codes?.includes(code) === true;
  if (isOneOf(errors.empty)) return NOTHING;
  return { kind: isOneOf(errors.stale) ? 'stale-cursor' : isOneOf(errors.refusedKey) ? 'key-refused' : 'error', code };
}

/** How many records the list has, where the description says where that stands; `null` when it is not there. */
export function totalIn(
  { description: { total } }: FilledDescription,
  page: Pick<AnsweredPage, 'envelope' | 'headers'>,
): number | null {
  if (total === undefined) return null;
  const value = toSendBack(valueIn(page.envelope, page.headers, total));
  if (value.kind !== 'text' || !/^\d+$/.test(value.text)) return null;
  return Number.isSafeInteger(Number(value.text)) ? Number(value.text) : null;
}

/** `null` when only the absence of a next page says so; a text when nothing is said where it should be. */
function saysMore({ description: { more, next } }: FilledDescription, page: AnsweredPage): boolean | null | string {
  switch (more.kind) {
    case 'next-absent':
      return null;
    case 'short-page':
      if (page.records >= page.limit) return true;
      // No API gives nothing at once.
      if (page.records === 0) return false;
      // Before a page has had more, the API may just give fewer than were asked for: then what follows tells. Many APIs answer a
      // number behind their last page with an error, so by page numbers it is an end, if nothing follows it: see saidEnd.
      return page.records < page.mostBefore || (next.kind === 'count' && next.step === 1) ? false : null;
    case 'link':
      return linkIn(page) !== null;
    case 'path': {
      const value = valueAt(page.envelope, more.path);
      const shown = `[${more.path.join(', ')}]`;
      if (value === undefined || value === null) return `the answer has no ${shown}, which says whether more follows`;
      // Written as a text, as a number, or as what it is: it means the same.
      const sought = asFlag(more.is);
      if (sought === null) return textOf(value) === String(more.is);
      const flag = asFlag(value);
      return flag === null ? `${shown} is neither true nor false` : flag === sought;
    }
  }
}

/** That nothing follows is shown by asking where a page is as long as any before it, or no flag has said yet what it says of more. */
function saidEnd(source: FilledDescription, page: AnsweredPage): NextPosition {
  const { more, next } = source.description;
  const by = more.kind === 'short-page' ? more.kind : 'more';
  const isShown =
    page.records > 0 &&
    (by === 'short-page'
      ? page.records >= page.mostBefore && next.kind === 'count'
      : !page.isMoreKnown && (next.kind === 'token' || next.kind === 'link'));
  const shownBy = isShown ? wayOn(source, page) : null;
  return typeof shownBy === 'string' ? { kind: 'end', by, shownBy } : { kind: 'end', by };
}

function textOf(value: unknown): string | null {
  const sent = toSendBack(value);
  return sent.kind === 'text' ? sent.text : null;
}

function asFlag(value: unknown): boolean | null {
  const text = String(value).trim().toLowerCase();
  if (['true', '1'].includes(text)) return true;
  return ['false', '0'].includes(text) ? false : null;
}

function wayOn(source: FilledDescription, page: AnsweredPage): Found {
  const { next } = source.description;
  switch (next.kind) {
    case 'token':
      return sentBack(valueIn(page.envelope, page.headers, next.from), 'the next page’s token');
    case 'link':
      return byLink(source, next.from, page);
    case 'count':
      return byCount(next, page);
    case 'lastRecord':
      return byLastRecord(next, page);
  }
}

function sentBack(value: unknown, what: string): Found {
  const sent = toSendBack(value);
  if (sent.kind === 'text') return sent.text;
  return sent.kind === 'nothing' ? null : unclear(`${what} is ${sent.why}`);
}

function linkIn({ headers }: AnsweredPage): string | null {
  return nextLink(headers.all('link') ?? '');
}

function byLink(source: FilledDescription, from: 'header' | KeyPath, page: AnsweredPage): Found {
  const written = from === 'header' ? linkIn(page) : sentBack(valueAt(page.envelope, from), 'the next page’s address');
  if (written === null || typeof written !== 'string') return written;
  if (!URL.canParse(written, page.url.href)) return unclear('the next page’s address is none');
  const link = new URL(written, page.url);
  if (link.origin !== source.url.origin) {
    return {
      kind: 'foreign-link',
      why: `the next page is said to be on another host (${link.origin}) than the source (${source.url.origin}): nothing was asked there, and no key was sent`,
    };
  }
  return keepLink(source, link);
}

function byCount(count: CountWord, { position, records }: AnsweredPage): Found {
  return records === 0 ? null : String(counted(count, Number(position ?? count.first), records));
}

/**
 * Page numbers rise by one. An offset rises by the records that came: a page that is shorter than it was asked for must not
 * make the next one begin too late.
 */
function counted({ step }: CountWord, from: number, records: number): number {
  return from + (step === 1 ? 1 : records);
}

function byLastRecord({ path, inclusive, within }: Way<'lastRecord'>, page: AnsweredPage): Found {
  if (page.records === 0) return null;
  const key = sentBack(valueAt(page.lastRecord, path), `the last record’s [${path.join(', ')}]`);
  if (key === null) return unclear(`the last record has no [${path.join(', ')}], which asks for the next page`);
  if (typeof key !== 'string') return key;
  if (within === null) {
    // An inclusive page of nothing but the record that was named.
    return inclusive && key === page.position && page.records === 1 ? null : key;
  }
  const asked = page.position === null ? null : readKeyAndCount(page.position);
  const count = asked?.key === key ? counted(within, asked.count, page.records) : within.first;
  return writeKeyAndCount({ key, count });
}

function unclear(why: string): { readonly kind: 'unclear'; readonly why: string } {
  return { kind: 'unclear', why };
}
