import { IsoTime } from './iso-time.ts';

/**
 * Times in every spelling of the API, exact to the microsecond. Integers and digits only: a double has no room for
 * microseconds of today once they are counted from 1970 in nanoseconds, and a JavaScript Date none for microseconds at
 * all.
 */

/** 2000-01-01T00:00:00Z, where PostgreSQL starts to count, in seconds since 1970. */
export const POSTGRES_EPOCH_S = 946_684_800;
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
/** More digits than any time has; what is longer is not read. */
const MAX_TIME_CHARACTERS = 400;

/** Today in nanoseconds; with that many, each half of the number is exact in a double. */
const MAX_USUAL_DIGITS = 19;

const EPOCH_NUMBER = /^([+-]?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,4}))?$/;

/** Reads one time after the other; what was read last is in its fields. Allocates nothing for the usual spellings. */
export class TimeReader {
  /** The upper and lower 32 bits of the time as PostgreSQL sends it, µs since 2000. */
  high = 0;
  low = 0;
  /** The same since 1970, ms, microseconds as a fraction. */
  epochMs = 0;
  readonly #iso = new IsoTime();

  /**
   * An epoch number that is a plain integer of at most 19 digits, at `at`. Returns the offset after it; 0, and nothing
   * changed: it is spelled otherwise.
   */
  readUsualNumber(bytes: Uint8Array, at: number): number {
    let end = at;
    while (isDigit(bytes[end] ?? 0)) end += 1;
    const digits = end - at;
    if (digits === 0 || digits > MAX_USUAL_DIGITS || isInNumber(bytes[end] ?? 0)) return 0;
    // No digit is lost: JSON has no number with a leading zero, but "0" is one, and a string may have them.
    if (bytes[at] === 0x30) return 0;
    const fractionDigits = digits <= 11 ? 0 : digits <= 14 ? 3 : digits <= 17 ? 6 : 9;
    const seconds = integerOf(bytes, at, end - fractionDigits);
    const fraction = integerOf(bytes, end - fractionDigits, end);
    const microseconds =
      fractionDigits === 3 ? fraction * 1000 : fractionDigits === 9 ? roundedThousandth(fraction) : fraction;
    return this.#set(seconds - POSTGRES_EPOCH_S, microseconds) ? end : 0;
  }

  /** `2026-01-27T19:20:12.369Z`, 24 characters. False, and nothing changed: it is another spelling. */
  readUsualText(bytes: Uint8Array, start: number): boolean {
    return (
      this.#iso.readUsual(bytes, start, start + 24) &&
      this.#set(this.#iso.epochSeconds - POSTGRES_EPOCH_S, this.#iso.microseconds)
    );
  }

  /** A JSON number. False: not a time that PostgreSQL holds. */
  readNumber(bytes: Uint8Array, start: number, end: number): boolean {
    return end - start <= MAX_TIME_CHARACTERS && this.#readEpoch(asciiText(bytes, start, end));
  }

  /** The decoded characters of a JSON string: an ISO 8601 time, or an epoch number in digits. */
  readText(bytes: Uint8Array, start: number, end: number): boolean {
    if (end > start && this.readUsualNumber(bytes, start) === end) return true;
    if (this.#iso.read(bytes, start, end)) {
      return this.#set(this.#iso.epochSeconds - POSTGRES_EPOCH_S, this.#iso.microseconds);
    }
    return end - start <= MAX_TIME_CHARACTERS && this.#readEpoch(asciiText(bytes, start, end).trim());
  }

  #readEpoch(text: string): boolean {
    const match = EPOCH_NUMBER.exec(text);
    if (match === null) return false;
    const [, sign = '', integer = '', fraction = '', exponentText = '0'] = match;
    const digits = (integer + fraction).replace(/^0+(?=\d)/, '');
    // The value is digits × 10^exponent.
    const exponent = Number(exponentText) - fraction.length;
    const integerDigits = digits === '0' ? 0 : digits.length + exponent;
    const unit = UNITS.find((candidate) => integerDigits <= candidate.integerDigits);
    if (unit === undefined || integerDigits > 30) return false;
    const magnitude = roundedShift(BigInt(digits), exponent + unit.microsecondsExponent);
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

/**
 * `value` × 10^exponent to the nearest integer, a half to the even one: as PostgreSQL rounds a fraction of a
 * microsecond.
 */
function roundedShift(value: bigint, exponent: number): bigint {
  if (exponent >= 0) return value * 10n ** BigInt(exponent);
  const divisor = 10n ** BigInt(-exponent);
  const whole = value / divisor;
  const doubledRest = (value % divisor) * 2n;
  if (doubledRest < divisor || (doubledRest === divisor && whole % 2n === 0n)) return whole;
  return whole + 1n;
}

/** For what can only be ASCII; any other byte becomes a character that is in no time. */
function asciiText(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...bytes.subarray(start, end));
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** Value of digits, at most 15 of them. */
function integerOf(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at += 1) value = value * 10 + ((bytes[at] ?? 0x30) - 0x30);
  return value;
}

/** Nanoseconds → µs, a half to the even one. */
function roundedThousandth(nanoseconds: number): number {
  const whole = Math.floor(nanoseconds / 1000);
  const rest = nanoseconds - whole * 1000;
  return rest < 500 || (rest === 500 && whole % 2 === 0) ? whole : whole + 1;
}

/** What goes on with a number after its integer digits. */
function isInNumber(byte: number): boolean {
  return byte === 0x2e || byte === 0x65 || byte === 0x45;
}
