/**
 * ISO 8601 → seconds and microseconds. The dates, the fractions and what is out of range follow PostgreSQL (each border
 * checked on PostgreSQL 18 against `'…'::timestamptz`); the spellings are ISO 8601's, so a comma before the fraction
 * and an hour alone are taken as well. No zone means UTC, whatever the zone of the process. No word (`now`, `infinity`,
 * `BC`, a zone's name other than UTC and GMT) is a time.
 */

const PLUS = 0x2b;
const MINUS = 0x2d;
const DOT = 0x2e;
const COLON = 0x3a;

const DAY_S = 86_400;
/** The Gregorian calendar repeats after 400 years. */
const CYCLE_YEARS = 400;
const CYCLE_DAYS = 146_097;
/** Stands for a date that does not exist. */
const NO_DAY = -1_000_000_000;
/** Stands for what is no offset. */
const NO_OFFSET = 1_000_000;
/** PostgreSQL takes offsets of less than 16 hours. */
const MAX_OFFSET_S = 16 * 3600;
/** Years have four digits, more only for PostgreSQL's last ones (294276). */
const MAX_YEAR = 294_277;

const DATE = String.raw`(\+?\d{4,6})-(\d\d)-(\d\d)|(\d{4})(\d\d)(\d\d)(?=[Tt]|\s+\d)|(\d{4})-(\d{3})(?!\d)|(\d{4})-?W(\d\d)-?(\d)`;
const TIME = String.raw`(\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d*))?)?)?`;
const ZONE = String.raw`\s*(?:([Zz]|UTC|GMT)|([+-])(\d{1,2})(?::?([0-5]\d)(?::([0-5]\d))?)?)`;
const SPELLINGS = new RegExp(String.raw`^\s*(?:${DATE})(?:(?:[Tt]|\s+)${TIME}(?:${ZONE})?)?\s*$`);
/** `+530`: hours of one digit and minutes without a colon; PostgreSQL reads it, the expression above would not. */
const SHORT_ZONE = /([+-])(\d)(\d\d)\s*$/;

/** The time read last is in its fields. */
export class IsoTime {
  /** Since 1970, may be negative. */
  epochSeconds = 0;
  /** 0 to 1,000,000: rounding can give a whole second. */
  microseconds = 0;
  #lastDate = -1;
  #lastDays = NO_DAY;

  /** False: not a time, or not one that exists. */
  read(bytes: Uint8Array, start: number, end: number): boolean {
    return this.readUsual(bytes, start, end) || this.#readAny(bytes, start, end);
  }

  /**
   * Reads `2026-01-27T19:20:12.369Z` and its kind: date and time in full, T or a space between, at most six digits of a
   * fraction, no zone or Z or an offset of two or four digits. Returns false and changes nothing for any other text.
   */
  readUsual(bytes: Uint8Array, start: number, end: number): boolean {
    if (end - start < 19) return false;
    if (bytes[start + 4] !== MINUS || bytes[start + 7] !== MINUS) return false;
    if (bytes[start + 13] !== COLON || bytes[start + 16] !== COLON) return false;
    if (bytes[start + 10] !== 0x54 && bytes[start + 10] !== 0x20) return false;
    const century = twoDigits(bytes, start);
    const yearOfCentury = twoDigits(bytes, start + 2);
    const month = twoDigits(bytes, start + 5);
    const day = twoDigits(bytes, start + 8);
    const hour = twoDigits(bytes, start + 11);
    const minute = twoDigits(bytes, start + 14);
    const second = twoDigits(bytes, start + 17);
    if ((century | yearOfCentury | month | day | hour | minute | second) < 0) return false;
    // 24:00 and :60 can be valid: the slow way decides.
    if (hour > 23 || minute > 59 || second > 59) return false;
    let at = start + 19;
    let microseconds = 0;
    if (bytes[at] === DOT) {
      at += 1;
      let scale = 100_000;
      for (; at < end; at += 1) {
        const digit = bytes[at] ?? 0;
        if (digit < 0x30 || digit > 0x39) break;
        if (scale < 1) return false;
        microseconds += (digit - 0x30) * scale;
        scale /= 10;
      }
    }
    const offset = usualOffset(bytes, at, end);
    const days = this.#daysOf(century * 100 + yearOfCentury, month, day);
    if (offset === NO_OFFSET || days === NO_DAY) return false;
    this.epochSeconds = days * DAY_S + hour * 3600 + minute * 60 + second - offset;
    this.microseconds = microseconds;
    return true;
  }

  /** The last day is remembered, because the events of a page are mostly of one day. */
  #daysOf(year: number, month: number, day: number): number {
    const date = (year * 16 + month) * 32 + day;
    if (date === this.#lastDate) return this.#lastDays;
    const days = calendarDays(year, month, day) ?? NO_DAY;
    this.#lastDate = date;
    this.#lastDays = days;
    return days;
  }

  #readAny(bytes: Uint8Array, start: number, end: number): boolean {
    const text = asciiText(bytes, start, end).replace(SHORT_ZONE, spellOutZone);
    const match = SPELLINGS.exec(text);
    if (match === null) return false;
    const part = (index: number): number => Number(match[index] ?? 0);
    const days = daysOf(match);
    if (days === null) return false;
    const hours = part(12);
    const minutes = part(13);
    const seconds = part(14);
    const microseconds = microsecondsOf(match[15] ?? '');
    if (minutes > 59 || seconds > 60) return false;
    const secondOfDay = hours * 3600 + minutes * 60 + seconds;
    // 24:00:00 and 23:59:60 are the next midnight; anything later is no time of this day.
    if (secondOfDay > DAY_S || (secondOfDay === DAY_S && microseconds > 0)) return false;
    const offset = part(18) * 3600 + part(19) * 60 + part(20);
    if (offset >= MAX_OFFSET_S) return false;
    this.epochSeconds = days * DAY_S + secondOfDay - (match[17] === '-' ? -offset : offset);
    this.microseconds = microseconds;
    return true;
  }
}

function spellOutZone(zone: string, sign: string, hours: string, minutes: string, at: number, text: string): string {
  // Only after a time: in `2026-001` the same characters are the day of a year.
  return text.lastIndexOf(':', at) > 0 ? `${sign}0${hours}:${minutes}` : zone;
}

/** Value of two digits, below zero if one of them is no digit. */
function twoDigits(bytes: Uint8Array, at: number): number {
  const tens = (bytes[at] ?? 0) - 0x30;
  const ones = (bytes[at + 1] ?? 0) - 0x30;
  return (tens | (9 - tens) | ones | (9 - ones)) < 0 ? -1 : tens * 10 + ones;
}

/** Seconds east of UTC, of the rest of a time: nothing, `Z`, `+05`, `+0530` or `+05:30`. NO_OFFSET: something else. */
function usualOffset(bytes: Uint8Array, at: number, end: number): number {
  const length = end - at;
  if (length === 0) return 0;
  const sign = bytes[at];
  if (length === 1) return sign === 0x5a || sign === 0x7a ? 0 : NO_OFFSET;
  if (sign !== PLUS && sign !== MINUS) return NO_OFFSET;
  const hasColon = length === 6 && bytes[at + 3] === COLON;
  if (length !== 3 && length !== 5 && !hasColon) return NO_OFFSET;
  const hours = twoDigits(bytes, at + 1);
  const minutes = length === 3 ? 0 : twoDigits(bytes, hasColon ? at + 4 : at + 3);
  if ((hours | minutes) < 0 || hours > 15 || minutes > 59) return NO_OFFSET;
  const offset = hours * 3600 + minutes * 60;
  return sign === MINUS ? -offset : offset;
}

/** Days since 1970 of the date in a match of SPELLINGS; null: no such day. */
function daysOf(match: RegExpExecArray): number | null {
  const [, year = match[4], month = match[5], day = match[6]] = match;
  if (year !== undefined) return calendarDays(Number(year), Number(month), Number(day));
  if (match[7] !== undefined) return ordinalDays(Number(match[7]), Number(match[8]));
  return weekDays(Number(match[9]), Number(match[10]), Number(match[11]));
}

function calendarDays(year: number, month: number, day: number): number | null {
  if (year < 1 || year > MAX_YEAR || month < 1 || day < 1) return null;
  const days = daysSince1970(year, month, day);
  // The 31st of April would be a day of May.
  return month <= 12 && days < daysSince1970(year, month + 1, 1) ? days : null;
}

function ordinalDays(year: number, day: number): number | null {
  const days = daysSince1970(year, 1, day);
  return year >= 1 && day >= 1 && days < daysSince1970(year + 1, 1, 1) ? days : null;
}

function weekDays(year: number, week: number, day: number): number | null {
  if (year < 1 || week < 1 || day < 1 || day > 7) return null;
  const monday = mondayOfFirstWeek(year) + (week - 1) * 7;
  return monday < mondayOfFirstWeek(year + 1) ? monday + day - 1 : null;
}

/** ISO 8601: week 1 is the week with 4 January in it. */
function mondayOfFirstWeek(year: number): number {
  const fourth = daysSince1970(year, 1, 4);
  // 1970-01-01 was a Thursday; + 3 makes Monday 0.
  return fourth - ((((fourth + 3) % 7) + 7) % 7);
}

/** Asks Date for the same day of the years 2000 to 2399: it ends in 275760, and takes the years 0 to 99 for 1900 to 1999. */
function daysSince1970(year: number, month: number, day: number): number {
  const cycles = Math.floor(year / CYCLE_YEARS) - 5;
  return Date.UTC(year - cycles * CYCLE_YEARS, month - 1, day) / 86_400_000 + cycles * CYCLE_DAYS;
}

/**
 * Up to six digits are exact. Beyond them PostgreSQL reads the fraction as a double, multiplies and rounds a half to
 * even (ParseFractionalSecond); the same operations on the same doubles give the same microsecond.
 */
function microsecondsOf(fraction: string): number {
  return fraction.length <= 6 ? Number(fraction.padEnd(6, '0')) : roundHalfEven(Number(`0.${fraction}`) * 1_000_000);
}

/** To the nearest integer, a half to the even one. */
export function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}

/** The characters of what should be ASCII; any other byte becomes a character that is in no time. */
export function asciiText(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...bytes.subarray(start, end));
}
