/** Answers of a case's API: the page as the description says it, and what goes wrong on the way. */
import { gzipSync } from 'node:zlib';
import { Digits, jsonText, type Json, type JsonObject } from '../support/vendors/vendor.ts';
import type { AnswerPlace, Case, FaultKind, Path } from './drawn-case.ts';
import { withMember } from './drawn-records.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The connection is reset: before the answer, or in the middle of it. */
  readonly breaks?: 'before' | 'within';
}

export interface Page {
  readonly records: readonly Json[];
  readonly hasMore: boolean;
  /** Whatever asks for the next page: a token, or an address. */
  readonly next: string | null;
  readonly total: number;
}

export function pageAnswer({ words, api }: Case, page: Page): Answer {
  const { records, more, total, errors, next: ways } = words;
  const headers: Record<string, string> = {};
  const members: [Path, Json][] = [];
  const say = (place: AnswerPlace, value: Json | undefined): void => {
    if ('path' in place) {
      if (value !== undefined) members.push([place.path, value]);
    } else if (value !== undefined && value !== null)
      headers[place.header] = typeof value === 'string' ? value : jsonText(value);
  };
  const isShown = page.next !== null && (page.hasMore || api.isLeftOver);
  const absent = { null: null, absent: undefined, empty: '' }[api.absence];
  if (ways.token !== undefined) {
    const token = page.next !== null && api.tokenIsNumber ? new Digits(page.next) : page.next;
    say(ways.token, isShown ? token : absent);
  }
  const saysByLink = typeof more === 'object' && 'link' in more;
  if (ways.link === 'header' || saysByLink) {
    const address = ways.link === 'header' ? page.next : '/next';
    const isLinked = ways.link === 'header' ? isShown : page.hasMore;
    headers['link'] = `</somewhere>; rel="first"${isLinked ? `, <${address ?? ''}>; rel="next"` : ''}`;
  }
  if (ways.link !== undefined && ways.link !== 'header') say(ways.link, isShown ? page.next : absent);
  if (typeof more === 'object' && 'path' in more) {
    const { is = true } = more;
    members.push([more.path, typeof is === 'string' ? (page.hasMore ? is : `not ${is}`) : page.hasMore === is]);
  }
  if (total !== undefined) say(total, api.totalIsText ? String(page.total) : page.total);
  if (errors !== undefined && page.records.length === 0 && !page.hasMore && api.emptyIsError) {
    return { status: 200, headers, body: errorBody(words, errors.empty[0] ?? '') };
  }
  if (records.length === 0) return { status: 200, headers, body: jsonText(page.records) };
  if (api.noise)
    members.unshift([['included'], [{ id: 1, next: 'no' }]], [['request'], { took: new Digits('0.10'), data: [] }]);
  const all: [Path, Json][] = api.recordsAtEnd
    ? [...members, [records, page.records]]
    : [[records, page.records], ...members];
  return {
    status: 200,
    headers,
    body: jsonText(all.reduce<JsonObject>((whole, [path, value]) => withMember(whole, path, value), {})),
  };
}

/** The body of an error under a status 200. */
export function errorBody({ errors }: Case['words'], code: string): string {
  if (errors === undefined) throw new Error('the description has no errors');
  const { path, code: at } = errors;
  const whole = at === undefined || at.length <= path.length ? withMember({}, path, code) : withMember({}, at, code);
  const body = at !== undefined && at.length <= path.length ? withMember(whole, at, code) : whole;
  return jsonText(body);
}

export function staleAnswer({ words, api }: Case): Answer {
  const code = words.errors?.stale[0];
  if (code !== undefined) return { status: 200, headers: {}, body: errorBody(words, code) };
  return { status: api.staleStatus, headers: {}, body: '{"message":"the cursor has expired"}' };
}

export function keyRefused({ words }: Case): Answer {
  const code = words.errors?.refusedKey[0];
  if (code !== undefined) return { status: 200, headers: {}, body: errorBody(words, code) };
  return { status: 401, headers: {}, body: '{"message":"bad credentials"}' };
}

const HTML = '<html><head><title>Bad Gateway</title></head><body>nginx</body></html>';

/** What comes in place of an answer that would be right. */
export function faultyAnswer(drawn: Case, kind: FaultKind, right: Answer): Answer {
  const plain = (status: number, headers: Readonly<Record<string, string>> = {}, body = '{}'): Answer => ({
    status,
    headers,
    body,
  });
  switch (kind) {
    case '429':
      return plain(429);
    case '429-wait':
      return plain(429, { 'retry-after': '1' });
    case 'later': {
      const status = drawn.words.limits?.['refusedBy'] === undefined ? 429 : 403;
      return plain(status, { 'x-ratelimit-remaining': '0', 'retry-after': '0' });
    }
    case '500':
      return plain(500, {}, '');
    case '503':
      return plain(503, { 'retry-after': '0' });
    case 'reset':
      return { ...right, breaks: 'before' };
    case 'cut':
      return { ...right, breaks: 'within' };
    case 'html-200':
      return plain(200, { 'content-type': 'text/html' }, HTML);
    case 'html-502':
      return plain(502, { 'content-type': 'text/html' }, HTML);
    case 'empty-object':
      return plain(200);
    case 'dead':
      return staleAnswer(drawn);
    case 'foreign-link':
      if (drawn.words.next.link === undefined) return plain(500);
      return pageAnswer(drawn, { records: [], hasMore: true, next: 'http://127.0.0.2:9/list?at=1', total: 1 });
    case 'error-200':
      return drawn.words.errors === undefined ? plain(500) : plain(200, {}, errorBody(drawn.words, 'internal'));
  }
}

/** As it goes over the wire. */
export function bytesOf(
  { body, headers }: Answer,
  isCompressed: boolean,
): { bytes: Buffer; headers: Record<string, string> } {
  const bytes = isCompressed ? gzipSync(body) : Buffer.from(body);
  const encoding = isCompressed ? { 'content-encoding': 'gzip' } : {};
  return {
    bytes,
    headers: { 'content-type': 'application/json', 'content-length': String(bytes.length), ...encoding, ...headers },
  };
}
