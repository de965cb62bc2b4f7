/** What is sent for one page of a source. Pure: nothing is sent from here. */
import { basicToken, type FilledDescription } from './fill-in.ts';
import { sentLink } from './kept-link.ts';
import type { KeyPath, RequestPlace } from './kinds.ts';
import { readKeyAndCount } from './positions.ts';
import { writeBound } from './time-bounds.ts';

export interface AskedPage {
  /** Where the walk goes on; `null` for the first page. */
  readonly position: string | null;
  /** Records wanted. No more than the API's own maximum are asked for. */
  readonly limit: number;
  /** Bounds, epoch ms, inclusive in meaning, fractions allowed; `null` is none. One without a parameter is not sent. */
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
}

export interface RequestShape {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

type Json = NonNullable<FilledDescription['body']>[string];

/** The members of a request that ask for one page, beside what the description says of all. */
interface Paging {
  readonly query: Map<string, string>;
  readonly body: (readonly [KeyPath, Json])[];
}

export function requestShape(source: FilledDescription, asked: AskedPage): RequestShape {
  const { description, auth } = source;
  const { method, next } = description;
  const isLink = next.kind === 'link' && asked.position !== null;
  const paging: Paging = { query: new Map(), body: [] };
  // A link has everything in it; what it leaves out was left out on purpose.
  if (!isLink) askForPart(paging, source, asked);
  const url = isLink ? sentLink(source, asked.position) : new URL(source.url);
  const query = isLink ? paging.query : new Map([...Object.entries(source.query), ...paging.query]);
  for (const [name, value] of query) url.searchParams.set(name, value);
  if (auth?.kind === 'query') url.searchParams.set(auth.param, auth.value);
  return {
    method,
    url,
    headers: headersOf(source),
    body: method === 'POST' ? JSON.stringify(withMembers(source.body ?? {}, paging.body)) : null,
  };
}

function askForPart(
  paging: Paging,
  { description }: FilledDescription,
  { position, limit, sinceMs, untilMs }: AskedPage,
): void {
  const { size, time, next } = description;
  if (size !== undefined) say(paging, size.at, Math.min(limit, size.max));
  for (const [param, side, ms] of [
    [time?.since, 'since', sinceMs],
    [time?.until, 'until', untilMs],
  ] as const) {
    const bound = time === undefined || ms === null ? null : writeBound(ms, side, time);
    if (param !== undefined && bound !== null) say(paging, { param }, bound);
  }
  // Last: the last record's value may take the place of a bound.
  switch (next.kind) {
    case 'token':
      if (position !== null) say(paging, next.to, position);
      break;
    case 'link':
      break;
    case 'count':
      say(paging, next, position ?? String(next.first));
      break;
    case 'lastRecord': {
      if (position === null) break;
      if (next.within === null) {
        say(paging, next, position);
        break;
      }
      const { key, count } = readKeyAndCount(position);
      say(paging, next, key);
      say(paging, next.within, String(count));
    }
  }
}

function say({ query, body }: Paging, place: RequestPlace, value: string | number): void {
  if ('bodyPath' in place) {
    body.push([place.bodyPath, value]);
    return;
  }
  query.set(place.param, String(value));
}

function headersOf({ headers, auth, description }: FilledDescription): Record<string, string> {
  return {
    accept: 'application/json',
    ...(description.method === 'POST' ? { 'content-type': 'application/json' } : {}),
    ...headers,
    ...(auth?.kind === 'bearer' ? { authorization: `Bearer ${auth.token}` } : {}),
    ...(auth?.kind === 'basic' ? { authorization: `Basic ${basicToken(auth)}` } : {}),
    ...(auth?.kind === 'header' ? { [auth.name]: auth.value } : {}),
  };
}

function withMembers(body: Readonly<Record<string, Json>>, members: Paging['body']): Record<string, Json> {
  return members.reduce((whole, [path, value]) => withMember(whole, path, value), { ...body });
}

/** An object on the way that is not there yet is made. */
function withMember(body: Readonly<Record<string, Json>>, path: KeyPath, value: Json): Record<string, Json> {
  const [key = '', ...rest] = path;
  if (rest.length === 0) return { ...body, [key]: value };
  const inner = body[key];
  const isObject = typeof inner === 'object' && inner !== null && !Array.isArray(inner);
  return { ...body, [key]: withMember(isObject ? inner : {}, rest, value) };
}
