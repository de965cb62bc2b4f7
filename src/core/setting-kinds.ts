/** What a setting can hold. Each kind turns the text that a person wrote into a value, or says what would be right. */
import ms, { type StringValue } from 'ms';
import { z } from 'zod';
import { readAddress } from './addresses.ts';
import { flatten, shorten } from './redaction.ts';
import { TimeReader } from './times.ts';

const MAX_QUOTED_CHARACTERS = 60;

/** A kind whose `read` answers `undefined` for text that it does not take. */
function readAs<T>(expected: string, read: (text: string) => T | undefined) {
  return z.string().transform((text, context) => {
    const value = read(text);
    if (value !== undefined) return value;
    context.addIssue(`expected ${expected}, got ${quote(text)}`);
    return z.NEVER;
  });
}

/** What was written, for a message of one line. */
function quote(text: string): string {
  return `"${shorten(flatten(text), MAX_QUOTED_CHARACTERS)}"`;
}

/** Both bounds are allowed; NaN is outside. */
function within(min: number, max: number, value: number): number | undefined {
  return value >= min && value <= max ? value : undefined;
}

const DECIMAL = /^\d+(\.\d+)?$/;

export const integer = (min: number, max: number) =>
  readAs(`a whole number from ${min} to ${max}`, (text) =>
    /^\d+$/.test(text) ? within(min, max, Number(text)) : undefined,
  );

export const decimal = (min: number, max: number) =>
  readAs(`a number from ${min} to ${max}`, (text) => (DECIMAL.test(text) ? within(min, max, Number(text)) : undefined));

/** At most this number of events, or this share of all. */
export type Bound = { readonly events: number } | { readonly share: number };

/** Events, or with a percent sign a share of all (`5%`). */
export const bound = readAs('a whole number of events, or a percentage like 5%', (text): Bound | undefined => {
  if (/^\d+$/.test(text)) return Number.isSafeInteger(Number(text)) ? { events: Number(text) } : undefined;
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1];
  return percent !== undefined && Number(percent) <= 100 ? { share: Number(percent) / 100 } : undefined;
});

/** Plain seconds, or with a unit (`90`, `1.5s`, `10m`, `1h`); the value is milliseconds. */
export const duration = (minSeconds: number, maxSeconds: number) =>
  readAs(`seconds, or a duration like 10m, from ${minSeconds} to ${maxSeconds} seconds`, (text) => {
    const hasUnit = /^[\d.]+\s*[a-z]+$/i.test(text);
    const value = DECIMAL.test(text) ? Number(text) * 1000 : hasUnit ? ms(text as StringValue) : Number.NaN;
    return within(minSeconds * 1000, maxSeconds * 1000, value);
  });

/** A name of which a table and a session of PostgreSQL can be called, or the file of a description. */
export const sourceName = readAs(
  'a name of at most 40 small letters, digits, - and _, a letter first, or a description that ends in .yaml',
  (text) => (/^[a-z][a-z\d_-]{0,39}$/.test(text) || /\.ya?ml$/i.test(text) ? text : undefined),
);

const BYTE_UNITS: Readonly<Record<string, number>> = { KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30 };

/** Plain bytes, or with a binary unit (`96MiB`). */
export const bytes = (min: number, max: number) =>
  readAs(`bytes, or a size like 96MiB, from ${min} to ${max} bytes`, (text) => {
    const [, digits, unit = ''] = /^(\d+)\s*([KMG]iB)?$/i.exec(text) ?? [];
    return within(min, max, Number(digits) * (BYTE_UNITS[unit.toUpperCase()] ?? 1));
  });

/** A number of fewer digits is a year, or a date without hyphens, rather than an epoch. */
const EPOCH = /^[+-]?\d{9,}(\.\d+)?$/;
/** So is `20260127` with an hour, or with minutes, behind it. With seconds it is a time, in events too. */
const DATE_WITHOUT_SECONDS = /^(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])([0-5]\d)?$/;
/** Date and time in digits; as an epoch, which is what is no such time, it would be later than the year 2286. */
const DIGITS_OF_TIME = /^\d{14}(\d{3})?$/;
const END_OF_DIGITS_MS = 1e13;
/** What a JavaScript Date can hold, ms. */
const MAX_DATE_MS = 8.64e15;

/** By the rules of events' times: no zone is UTC, and the size of an epoch says its unit. The value is epoch milliseconds. */
export const instant = readAs(
  'a time like 2026-01-27T19:20:12Z or 2026-01-27 (UTC), or an epoch like 1769541612',
  (text) => {
    if (/^[+-]?[\d.]+$/.test(text) && (!EPOCH.test(text) || DATE_WITHOUT_SECONDS.test(text))) return undefined;
    if (/^[+-]?[\d.]+e/i.test(text)) return undefined;
    const time = new TimeReader();
    const characters = Buffer.from(text);
    if (!time.readText(characters, 0, characters.length)) return undefined;
    return within(-MAX_DATE_MS, DIGITS_OF_TIME.test(text) ? END_OF_DIGITS_MS : MAX_DATE_MS, time.epochMs);
  },
);

export const onOff = readAs('1 or 0', (text) => {
  if (/^(1|true|yes|on)$/i.test(text)) return true;
  return /^(0|false|no|off)$/i.test(text) ? false : undefined;
});

export const choice = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, { error: (issue) => `expected ${values.join(', ')}; got ${quote(String(issue.input))}` });

// The kinds below can hold secrets: their messages never quote what was written.

/** The value is the address as `readAddress` spells it. */
const address = (scheme: RegExp, expected: string, isComplete: (text: string) => boolean) =>
  z.string().transform((written, context) => {
    const read = scheme.test(written) ? readAddress(written) : null;
    if (typeof read === 'object' && read !== null && isComplete(read.text)) return read.text;
    context.addIssue(typeof read === 'string' ? read : `expected ${expected}`);
    return z.NEVER;
  });

export const httpUrl = address(
  /^https?:\/\//i,
  'a URL beginning with http:// or https:// that names a host',
  (text) => (URL.parse(text)?.hostname ?? '') !== '',
);

export const databaseAddress = address(
  /^postgres(ql)?:\/\//,
  'postgresql://<user>:<password>@<host>:<port>/<database>',
  (text) => URL.canParse(text.replace(/@\//, '@localhost/')),
);

export const headerText = z
  .string()
  .regex(/^[\x20-\x7e]+$/, { error: 'expected printable ASCII (it is sent in a header of a request)' });

export const hostName = z.string().regex(/^[\w.:-]+$/, { error: 'expected a host name or address' });
