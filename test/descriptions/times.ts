/** Times as the APIs of the cases write and read them. In microseconds since 1970. */
import { Digits, type Json } from '../support/vendors/vendor.ts';
import type { DataTraits, TimeWords } from './drawn-case.ts';

const UNITS_US: Readonly<Record<string, number>> = {
  us: 1,
  ms: 1_000,
  s: 1_000_000,
  m: 60_000_000,
  h: 3_600_000_000,
  d: 86_400_000_000,
};
const SECOND_US = 1_000_000;

/** The granularity of the API. */
export function stepOf({ granularity }: Pick<TimeWords, 'granularity'>): number {
  return durationUs(granularity);
}

export function durationUs(text: string): number {
  const [, digits = '', unit = ''] = /^(\d+)([a-z]+)$/.exec(text) ?? [];
  return Number(digits) * (UNITS_US[unit] ?? NaN);
}

export function writeTime(
  us: number,
  words: TimeWords,
  { timeIsText, isFiner }: Pick<DataTraits, 'timeIsText' | 'isFiner'>,
): Json {
  const step = isFiner ? Math.max(1, Math.floor(stepOf(words) / 8)) : stepOf(words);
  switch (words.format) {
    case 'iso':
      return isoText(us, step, timeIsText);
    case 's':
      return number(fixed(us, 6, step), timeIsText);
    case 'ms':
      return number(fixed(us, 3, step), timeIsText);
  }
}

function number(text: string, isText: boolean): Json {
  return isText ? text : new Digits(text);
}

/** With as many digits behind the point as the step needs. */
function fixed(us: number, unitDigits: number, step: number): string {
  const digits = String(us).padStart(unitDigits + 1, '0');
  const behind = fractionDigits(step) - (6 - unitDigits);
  const whole = digits.slice(0, -unitDigits);
  return behind <= 0 ? whole : `${whole}.${digits.slice(-unitDigits).slice(0, behind)}`;
}

/** Of a second. */
function fractionDigits(step: number): number {
  return step % SECOND_US === 0 ? 0 : step % 1_000 === 0 ? 3 : 6;
}

function isoText(us: number, step: number, hasOffset: boolean): string {
  const seconds = new Date(Math.floor(us / SECOND_US) * 1_000).toISOString().slice(0, 19);
  const digits = fractionDigits(step);
  const fraction =
    digits === 0
      ? ''
      : `.${String(us % SECOND_US)
          .padStart(6, '0')
          .slice(0, digits)}`;
  return `${seconds}${fraction}${hasOffset ? '+00:00' : 'Z'}`;
}

/** What a bound or a record says; `null`: no time. */
export function readTime(text: string, format: TimeWords['format']): number | null {
  if (format === 'iso') {
    const [, whole = '', fraction = ''] =
      /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:Z|\+00:00)$/.exec(text) ?? [];
    const ms = Date.parse(/^\d{4}-\d\d-\d\d$/.test(text) ? text : `${whole}Z`);
    return Number.isNaN(ms) ? null : ms * 1_000 + Number(fraction.padEnd(6, '0'));
  }
  const [, whole = '', fraction = ''] = /^(\d+)(?:\.(\d+))?$/.exec(text) ?? [];
  if (whole === '') return null;
  const unitDigits = format === 's' ? 6 : 3;
  return Number(whole) * 10 ** unitDigits + Number(fraction.slice(0, unitDigits).padEnd(unitDigits, '0'));
}
