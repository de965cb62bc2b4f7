/** A request, held against its description: what it asks for, and what in it no description allows. */
import type { IncomingMessage } from 'node:http';
import { jsonText, type Json, type JsonObject } from '../support/vendors/vendor.ts';
import { KEY, USER, type Case, type CountWords, type RequestPlace, type Words } from './drawn-case.ts';
import { isObject, memberAt } from './drawn-records.ts';

/** The parameter of links that stands for where they lead. */
export const AT = 'at';

export interface Asked {
  readonly url: URL;
  readonly body: JsonObject;
}

/** `null` where nothing is said. */
export function said({ url, body }: Asked, place: RequestPlace): string | null {
  if ('param' in place) return url.searchParams.get(place.param);
  const value: Json | undefined = memberAt(body, place.bodyPath);
  return value === undefined || value === null ? null : typeof value === 'string' ? value : jsonText(value);
}

/** Records before the page; `null`: it is no number that was ever given. */
export function counted(value: string | null, { first, step }: CountWords, size: number): number | null {
  if (value === null || !/^\d+$/.test(value) || Number(value) < first) return null;
  const steps = Number(value) - first;
  return step === 1 ? steps * size : steps;
}

export function hasKey({ headers }: IncomingMessage, url: URL, { words: { auth } }: Case): boolean {
  if (auth?.bearer !== undefined) return headers.authorization === `Bearer ${KEY}`;
  if (auth?.header !== undefined)
    return headers[auth.header.name.toLowerCase()] === auth.header.value.replace('${KEY}', KEY);
  if (auth?.basic !== undefined) {
    return headers.authorization === `Basic ${Buffer.from(`${USER}:${KEY}`).toString('base64')}`;
  }
  return auth?.query === undefined || url.searchParams.get(auth.query.param) === KEY;
}

/** Whatever the description says of every request and is not there, and whatever it does not know. */
export function wrongIn(
  { method, headers }: IncomingMessage,
  { url, body }: Asked,
  { text, words, origin }: { readonly text: string; readonly words: Words; readonly origin: string },
): string[] {
  const found: string[] = [];
  const { size, next, time, auth } = words;
  const wrong = (what: string): void => void found.push(`${what}: ${url.pathname}${url.search} ${text}`);
  if (method !== (words.method ?? 'GET')) wrong(`the method is ${method ?? ''}`);
  const written = new URL(words.url.replace('${API}', origin));
  if (url.pathname !== written.pathname) wrong('another path');
  const fixed = { ...Object.fromEntries(written.searchParams), ...words.query };
  for (const [name, value] of Object.entries(fixed)) {
    const mayBeTaken = name === time?.since || name === time?.until;
    if (url.searchParams.get(name) !== value && !mayBeTaken) wrong(`${name} is not ${value}`);
  }
  for (const [name, value] of Object.entries(words.headers ?? {})) {
    if (headers[name.toLowerCase()] !== value) wrong(`the header ${name} is not ${value}`);
  }
  const last = next.lastRecord;
  const known = [
    ...Object.keys(fixed),
    ...[size, next.token].map((place) => (place !== undefined && 'param' in place ? place.param : undefined)),
    ...[next.count?.param, last?.param, last?.within?.count.param, time?.since, time?.until, auth?.query?.param],
    ...(next.link === undefined ? [] : [AT]),
  ];
  for (const [name] of url.searchParams) {
    if (!known.includes(name)) wrong(`nobody knows the parameter ${name}`);
    if (url.searchParams.getAll(name).length > 1) wrong(`${name} comes twice`);
  }
  for (const [name, value] of Object.entries(words.body ?? {})) {
    if (!isObject(value) && jsonText(body[name] ?? null) !== jsonText(value))
      wrong(`${name} of the body is not as it was written`);
  }
  if (size === undefined) return found;
  const wanted = said({ url, body }, size);
  if (wanted === null || !/^\d+$/.test(wanted) || Number(wanted) < 1 || Number(wanted) > size.max) {
    wrong(`${wanted ?? 'nothing'} records are asked for`);
  }
  return found;
}
