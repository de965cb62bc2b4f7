/**
 * The kinds of value that a setting can have: from what a person writes to what the program computes with, or to a message that
 * says what would be right.
 */
import ms, { type StringValue } from 'ms';
import { z } from 'zod';

export const integer = (min: number, max: number) =>
  z.string().transform((text, context) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      context.addIssue(`expected a whole number from ${min} to ${max}, got "${text}"`);
      return z.NEVER;
    }
    return value;
  });

export const decimal = (min: number, max: number) =>
  z.string().transform((text, context) => {
    const value = Number(text);
    if (!/^\d+(\.\d+)?$/.test(text) || value < min || value > max) {
      context.addIssue(`expected a number from ${min} to ${max}, got "${text}"`);
      return z.NEVER;
    }
    return value;
  });

/** Plain seconds, or with a unit (`90`, `1.5s`, `10m`, `1h`); the value is milliseconds. */
export const duration = (minSeconds: number, maxSeconds: number) =>
  z.string().transform((text, context) => {
    const plain = /^\d+(\.\d+)?$/.test(text);
    const value = plain ? Number(text) * 1000 : /^[\d.]+\s*[a-z]+$/i.test(text) ? ms(text as StringValue) : Number.NaN;
    if (!(value >= minSeconds * 1000 && value <= maxSeconds * 1000)) {
      context.addIssue(
        `expected seconds, or a duration like 10m, from ${minSeconds} to ${maxSeconds} seconds, got "${text}"`,
      );
      return z.NEVER;
    }
    return value;
  });

const BYTE_UNITS: Readonly<Record<string, number>> = { '': 1, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30 };

export const bytes = (min: number, max: number) =>
  z.string().transform((text, context) => {
    const match = /^(\d+)\s*([KMG]iB)?$/i.exec(text);
    const value = match ? Number(match[1]) * (BYTE_UNITS[(match[2] ?? '').toUpperCase()] ?? Number.NaN) : Number.NaN;
    if (!(value >= min && value <= max)) {
      context.addIssue(`expected bytes, or a size like 96MiB, from ${min} to ${max} bytes, got "${text}"`);
      return z.NEVER;
    }
    return value;
  });

export const instant = z.string().transform((text, context) => {
  const value = /^-?\d+$/.test(text) ? Number(text) : Date.parse(text);
  if (Number.isNaN(value) || Math.abs(value) > 8.64e15) {
    context.addIssue(`expected an ISO 8601 time or epoch milliseconds, got "${text}"`);
    return z.NEVER;
  }
  return value;
});

export const choice = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, { error: (issue) => `expected ${values.join(', ')}; got "${String(issue.input)}"` });

export const url = (protocols: readonly string[]) =>
  z.string().refine(
    (text) => {
      const parsed = URL.parse(text);
      return parsed !== null && protocols.includes(parsed.protocol) && parsed.hostname !== '';
    },
    { error: `expected a URL beginning with ${protocols.map((p) => `${p}//`).join(' or ')} that names a host` },
  );

export const databaseAddress = z
  .string()
  .refine((text) => /^postgres(ql)?:\/\//.test(text) && URL.canParse(text.replace(/@\//, '@localhost/')), {
    error: 'expected postgresql://user:password@host:port/database',
  });

/** A schema of its own for each switch: the registry knows settings by their schema, and one that is shared is one setting. */
export const onOff = () =>
  z.string().transform((text, context) => {
    if (/^(1|true|yes|on)$/i.test(text)) return true;
    if (/^(0|false|no|off)$/i.test(text)) return false;
    context.addIssue(`expected 1 or 0, got "${text}"`);
    return z.NEVER;
  });

export const headerText = z
  .string()
  .regex(/^[\x20-\x7e]+$/, { error: 'expected printable ASCII (it is sent in a header of a request)' });

export const hostName = z.string().regex(/^[\w.:-]+$/, { error: 'expected a host name or address' });
