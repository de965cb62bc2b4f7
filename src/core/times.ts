import type { TimeFormat } from './column-plan.ts';
import { asciiText, IsoTime, roundHalfEven } from './iso-time.ts';

/**
 * Times in every spelling of the API, exact to the microsecond. Computed from integers: a double cannot hold today in
 * nanoseconds since 1970, and a JavaScript Date has no microseconds.
 */

const DOT = 0x2e;
const DIGIT_0 = 0x30;
const UPPER_E = 0x45;
const LOWER_E = 0x65;

/** 2000-01-01T00:00:00Z, from which PostgreSQL counts, in seconds since 1970. */
const POSTGRES_EPOCH_S = 946_684_800;
const POSTGRES_EPOCH_US = BigInt(POSTGRES_EPOCH_S) * 1_000_000n;

/**
 * What `timestamptz` holds, µs since 2000: from 4714-11-24 BC, up to and not including 294277-01-01
 * (datatype/timestamp.h).
 */
const MIN_POSTGRES_US = -211_813_488_000_000_000n;
const END_POSTGRES_US = 9_223_371_331_200_000_000n;

/**
 * The unit of an epoch number by its size, digits before the point: below 1e11 seconds, below 1e14 milliseconds, below
 * 1e17 microseconds, from there nanoseconds. Each unit but the last ends in the year 5138; in milliseconds the first 39
 * months after 1970 read as seconds.
 */
const UNITS = [
  { integerDigits: 11, microsecondsExponent: 6 },
  { integerDigits: 14, microsecondsExponent: 3 },
  { integerDigits: 17, microsecondsExponent: 0 },
  { integerDigits: Infinity, microsecondsExponent: -3 },
] as const;

/** Seconds a double counts exactly in microseconds, with room to spare: ±285 years around 2000. */
const MAX_FAST_SECONDS = 9_000_000_000;
const TWO_POW_32 = 4_294_967_296;
/** A longer text is not a time. */
const MAX_TIME_CHARACTERS = 400;

const ENCODER = new TextEncoder();

/** Nanoseconds of today have 19 digits. Split into seconds and fraction, both parts of such a number are exact in a double. */
const MAX_USUAL_DIGITS = 19;

/** Seconds are read as a double from no more digits. */
const MAX_FIXED_DIGITS = 12;

/** Digits of a date and a time without anything between, and with milliseconds. Epochs of as many digits are far in the future. */
const COMPACT_DIGITS = [14, 17];
/** Of this century or the last: `20260127192012`, with a fraction and a zone or without. */
const COMPACT_TIME = /^((?:19[7-9]\d|20\d\d)\d{4})(\d{6})(?:(\d{3}|\d{6})|[.,](\d+))?([Zz]|[+-]\d\d(?::?\d\d)?)?$/;

const EPOCH_NUMBER = /^([+-]?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,4}))?$/;

/** The time read last is in its fields. Allocates nothing for the usual spellings. */
export class TimeReader {
  /** The upper and lower 32 bits of the time as PostgreSQL sends it, µs since 2000. */
  high = 0;
  low = 0;
  /** The same time as ms since 1970, microseconds as a fraction. */
  epochMs = 0;
  readonly #iso = new IsoTime();
  readonly #format: TimeFormat;

  constructor(format: TimeFormat = 'any') {
    this.#format = format;
  }

  /**
   * Reads the epoch number at `at` if it is a plain integer of at most 19 digits; returns the offset after it. Returns 0
   * and changes nothing if it is spelled otherwise, or may be a date.
   */
  readUsualNumber(bytes: Uint8Array, at: number): number {
    if (this.#format === 'iso') return 0;
    let end = at;
    while ((bytes[end] ?? 0) >= 0x30 && (bytes[end] ?? 0) <= 0x39) end += 1;
    const digits = end - at;
    const next = bytes[end] ?? 0;
    const goesOn = next === DOT || next === LOWER_E || next === UPPER_E;
    // Leading zeros, which a string may have, do not count for the unit.
    if (digits === 0 || digits > MAX_USUAL_DIGITS || goesOn || bytes[at] === DIGIT_0) return 0;
    if (this.#format !== 'any') return this.#readFixed(bytes, at, end);
    if (digits > 13 && COMPACT_DIGITS.includes(digits)) return 0;
    const fractionDigits = digits <= 11 ? 0 : digits <= 14 ? 3 : digits <= 17 ? 6 : 9;
    const seconds = integerOf(bytes, at, end - fractionDigits);
    const fraction = integerOf(bytes, end - fractionDigits, end);
    const microseconds =
      fractionDigits === 3 ? fraction * 1000 : fractionDigits === 9 ? roundHalfEven(fraction / 1000) : fraction;
    return this.#set(seconds - POSTGRES_EPOCH_S, microseconds) ? end : 0;
  }

  /** Seconds or milliseconds, whatever their size. */
  #readFixed(bytes: Uint8Array, at: number, end: number): number {
    const point = this.#format === 's' ? end : Math.max(at, end - 3);
    if (point - at > MAX_FIXED_DIGITS) return 0;
    const seconds = integerOf(bytes, at, point) - POSTGRES_EPOCH_S;
    return this.#set(seconds, integerOf(bytes, point, end) * 1000) ? end : 0;
  }

  get #takesTexts(): boolean {
    return this.#format === 'any' || this.#format === 'iso';
  }

  /** As IsoTime.readUsual. */
  readUsualText(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#takesTexts && this.#iso.readUsual(bytes, start, end) && this.#setIso();
  }

  /** A JSON number. False: not a time that PostgreSQL holds. */
  readNumber(bytes: Uint8Array, start: number, end: number): boolean {
    return (
      end - start <= MAX_TIME_CHARACTERS && this.#format !== 'iso' && this.#readEpoch(asciiText(bytes, start, end))
    );
  }

  /** The decoded characters of a JSON string: an ISO 8601 time, or an epoch number in digits. */
  readText(bytes: Uint8Array, start: number, end: number): boolean {
    if (end - start > MAX_TIME_CHARACTERS) return false;
    if (end > start && this.readUsualNumber(bytes, start) === end) return true;
    if (this.#takesTexts && this.#iso.read(bytes, start, end)) return this.#setIso();
    return this.#format !== 'iso' && this.#readEpoch(asciiText(bytes, start, end).trim());
  }

  isSame(other: TimeReader): boolean {
    return this.high === other.high && this.low === other.low;
  }

  #setIso(): boolean {
    return this.#set(this.#iso.epochSeconds - POSTGRES_EPOCH_S, this.#iso.microseconds);
  }

  /** `20260127192012` is a date and a time: as milliseconds it would be the year 2612. */
  #readCompact(text: string): boolean {
    const match = COMPACT_TIME.exec(text);
    if (match === null) return false;
    const [, date = '', time = '', digits, fraction = digits, zone = ''] = match;
    const spelled = ENCODER.encode(`${date}T${time}${fraction === undefined ? '' : `.${fraction}`}${zone}`);
    return this.#iso.read(spelled, 0, spelled.length) && this.#setIso();
  }

  #microsecondsExponent(integerDigits: number): number {
    if (this.#format === 's') return 6;
    if (this.#format === 'ms') return 3;
    return UNITS.find((unit) => integerDigits <= unit.integerDigits)?.microsecondsExponent ?? 0;
  }

  #readEpoch(text: string): boolean {
    if (this.#format === 'any' && this.#readCompact(text)) return true;
    const match = EPOCH_NUMBER.exec(text);
    if (match === null) return false;
    const [, sign = '', integer = '', fraction = '', exponentText = '0'] = match;
    const digits = (integer + fraction).replace(/^0+(?=\d)/, '');
    // The value is digits × 10^exponent.
    const exponent = Number(exponentText) - fraction.length;
    const integerDigits = digits === '0' ? 0 : digits.length + exponent;
    if (integerDigits > 30) return false;
    const magnitude = roundedShift(BigInt(digits), exponent + this.#microsecondsExponent(integerDigits));
    return this.#setExact((sign === '-' ? -magnitude : magnitude) - POSTGRES_EPOCH_US);
  }

  /** `seconds` since 2000, `microseconds` from 0 to 1,000,000. */
  #set(seconds: number, microseconds: number): boolean {
    if (seconds > MAX_FAST_SECONDS || seconds < -MAX_FAST_SECONDS) {
      return this.#setExact(BigInt(seconds) * 1_000_000n + BigInt(microseconds));
    }
    const total = seconds * 1_000_000 + microseconds;
    this.high = Math.floor(total / TWO_POW_32);
    this.low = total - this.high * TWO_POW_32;
    this.epochMs = (seconds + POSTGRES_EPOCH_S) * 1000 + microseconds / 1000;
    return true;
  }

  #setExact(microseconds: bigint): boolean {
    if (microseconds < MIN_POSTGRES_US || microseconds >= END_POSTGRES_US) return false;
    this.high = Number(microseconds >> 32n);
    this.low = Number(microseconds & 0xffff_ffffn);
    this.epochMs = Number(microseconds + POSTGRES_EPOCH_US) / 1000;
    return true;
  }
}

/** `value` × 10^exponent to the nearest integer, a half to the even one: PostgreSQL rounds fractions of µs so. */
function roundedShift(value: bigint, exponent: number): bigint {
  if (exponent >= 0) return value * 10n ** BigInt(exponent);
  const divisor = 10n ** BigInt(-exponent);
  const whole = value / divisor;
  const doubledRest = (value % divisor) * 2n;
  if (doubledRest < divisor || (doubledRest === divisor && whole % 2n === 0n)) return whole;
  return whole + 1n;
}

/** Value of digits, at most 15 of them. */
function integerOf(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at += 1) value = value * 10 + ((bytes[at] ?? 0x30) - 0x30);
  return value;
}
