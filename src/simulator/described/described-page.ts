/** A description run backwards: which records a request asks for, and what the answer says besides. Pure. */
import { z } from 'zod';
import { valueAt } from '../../source/answer-values.ts';
import type { FilledDescription } from '../../source/fill-in.ts';
import type { RequestPlace } from '../../source/kinds.ts';
import type { CountWord } from '../../source/next-word.ts';
import type { FaultKind } from '../faults/fault-kinds.ts';
import { isJsonObject, withValue, type DescribedRecord, type Json } from './described-records.ts';

/** What the API grants where the description gives no size. */
const USUAL_SIZE = 50;
/** Share of a page that a `lost-events` fault leaves out. */
const LOST_SHARE = 0.1;
/** Faults that look like the end of a list. */
const ENDS_FALSELY = new Set<string>(['empty-page', 'no-cursor']);
/** Of links, beside all that was asked for. */
const LINK_PARAM = 'simulated_cursor';

export interface DescribedRequest {
  readonly url: URL;
  /** `null`: there was none. */
  readonly body: unknown;
  readonly fault: FaultKind | null;
  readonly nowMs: number;
  readonly cursorTtlMs: number;
}

export interface DescribedPage {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Json;
}

/** The place in the list of its bounds, and when it was given. */
const tokenShape = z.object({ from: z.number(), query: z.string(), givenMs: z.number() });
type Token = z.output<typeof tokenShape>;

/** @returns `null`: the cursor is stale */
export function describedPage(
  source: FilledDescription,
  records: readonly DescribedRecord[],
  request: DescribedRequest,
): DescribedPage | null {
  const { description } = source;
  const { size, total, more } = description;
  // Where absence is the end, a page without its next one would be a false end that nobody can see.
  const saysMore = more.kind === 'path' || more.kind === 'link';
  const fault = saysMore || !ENDS_FALSELY.has(request.fault ?? '') ? request.fault : null;
  const token = tokenIn(source, request);
  if (token === 'stale' || (token !== null && fault === 'stale-cursor')) return null;
  const asked = token === null ? request.url.searchParams : new URLSearchParams(token.query);
  const listed = boundedBy(source, records, asked);
  const limit = Math.min(Number(sentAt(request, size?.at) ?? Infinity), size?.max ?? USUAL_SIZE);
  const from = token?.from ?? startOf(source, listed, request, limit);
  const count = fault === 'empty-page' ? 0 : Math.min(limit, listed.length - from);
  const shown = listed.slice(from, from + count);
  const hasMore = from + count < listed.length || fault === 'no-cursor';
  const lost = fault === 'lost-events' ? Math.ceil(count * LOST_SHARE) : 0;
  const page: Mutable<DescribedPage> = {
    headers: total !== undefined && 'header' in total ? { [total.header]: String(records.length) } : {},
    body: {},
  };
  const list = shown.slice(0, count - lost).map(({ json }) => json);
  if (description.records.length === 0) page.body = list;
  else say(page, description.records, list);
  if (total !== undefined && 'path' in total) say(page, total.path, records.length);
  sayMore(page, source, hasMore, request.url);
  if (hasMore && fault !== 'no-cursor') {
    const next = { from: from + count, query: asked.toString(), givenMs: request.nowMs };
    sayNext(page, source, Buffer.from(JSON.stringify(next)).toString('base64url'), request.url);
  }
  return page;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

function say(page: Mutable<DescribedPage>, path: readonly string[], value: Json): void {
  if (isJsonObject(page.body)) page.body = withValue(page.body, path, value);
}

function sayMore(
  page: Mutable<DescribedPage>,
  { description: { more } }: FilledDescription,
  hasMore: boolean,
  url: URL,
): void {
  if (more.kind === 'link' && hasMore) page.headers = { ...page.headers, link: `<${url.href}>; rel="next"` };
  if (more.kind !== 'path') return;
  const other = typeof more.is === 'boolean' ? !more.is : typeof more.is === 'number' ? more.is + 1 : `not ${more.is}`;
  say(page, more.path, hasMore ? more.is : other);
}

function sayNext(
  page: Mutable<DescribedPage>,
  { description: { next } }: FilledDescription,
  token: string,
  url: URL,
): void {
  const link = new URL(url);
  link.searchParams.set(LINK_PARAM, token);
  if (next.kind === 'token') {
    if ('path' in next.from) say(page, next.from.path, token);
    else page.headers = { ...page.headers, [next.from.header]: token };
  } else if (next.kind === 'link') {
    if (next.from === 'header') page.headers = { ...page.headers, link: `<${link.href}>; rel="next"` };
    else say(page, next.from, link.href);
  }
}

function tokenIn({ description: { next } }: FilledDescription, request: DescribedRequest): Token | null | 'stale' {
  const text =
    next.kind === 'token'
      ? sentAt(request, next.to)
      : next.kind === 'link'
        ? request.url.searchParams.get(LINK_PARAM)
        : null;
  if (text === null) return null;
  try {
    const token = tokenShape.parse(JSON.parse(Buffer.from(text, 'base64url').toString()));
    return request.nowMs - token.givenMs <= request.cursorTtlMs ? token : 'stale';
  } catch {
    return 'stale';
  }
}

/** What a request says at a place; `null`: nothing. */
function sentAt({ url, body }: Pick<DescribedRequest, 'url' | 'body'>, place: RequestPlace | undefined): string | null {
  if (place === undefined) return null;
  if ('param' in place) return url.searchParams.get(place.param);
  const value = valueAt(body, place.bodyPath);
  return typeof value === 'string' || typeof value === 'number' ? String(value) : null;
}

/** Both bounds are inclusive. */
function boundedBy(
  { description: { time, next } }: FilledDescription,
  records: readonly DescribedRecord[],
  query: URLSearchParams,
): readonly DescribedRecord[] {
  if (time === undefined) return records;
  const bound = (param: string | undefined, none: number): number => {
    const value = param === undefined ? null : query.get(param);
    return value === null || (next.kind === 'lastRecord' && next.param === param && !next.inclusive)
      ? none
      : microsOf(time.format, value);
  };
  const from = bound(time.since, -Infinity);
  const to = bound(time.until, Infinity);
  return records.filter(({ micros }) => micros >= from && micros <= to);
}

function microsOf(format: 'iso' | 's' | 'ms', text: string): number {
  if (format === 'iso') {
    const digits = /\.\d{3}(\d{3})/.exec(text)?.[1] ?? '0';
    return Date.parse(text) * 1_000 + Number(digits);
  }
  return Math.round(Number(text) * (format === 's' ? 1e6 : 1e3));
}

/** Where in the list a request without a token begins. */
function startOf(
  { description: { next } }: FilledDescription,
  listed: readonly DescribedRecord[],
  request: DescribedRequest,
  limit: number,
): number {
  const counted = (word: CountWord): number => {
    const steps = Number(sentAt(request, word) ?? word.first) - word.first;
    return Math.min(listed.length, word.step === 1 ? steps * limit : steps);
  };
  if (next.kind === 'count') return counted(next);
  if (next.kind !== 'lastRecord') return 0;
  const key = sentAt(request, next);
  if (key === null) return 0;
  const at = listed.findIndex(({ json }) => String(valueAt(json, next.path)) === key);
  if (at === -1) return next.within === null ? listed.length : counted(next.within);
  return at + (next.within === null ? (next.inclusive ? 0 : 1) : counted(next.within));
}
