/** Decimal numbers → PostgreSQL's binary forms, digit for digit: no double holds them. */

const DOT = 0x2e;
const MINUS = 0x2d;
const DIGIT_0 = 0x30;

/** As JSON spells a number; a string may have zeros before it. */
const NUMBER = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const PARTS = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;

/** Digits of an integer that a double holds for certain. */
const MAX_FAST_DIGITS = 15;
/** Of a number that may be a bigint, with zeros that say nothing. */
const MAX_BIGINT_CHARACTERS = 400;
const MAX_BIGINT_EXPONENT = 20;
const TWO_POW_32 = 4_294_967_296;
const MIN_BIGINT = -(2n ** 63n);
const MAX_BIGINT = 2n ** 63n - 1n;

const DECODER = new TextDecoder();

/** PostgreSQL's `numeric` (numeric_recv): counts of 16 bits, and digits in base 10,000. */
const NUMERIC_HEAD_BYTES = 8;
const NEGATIVE = 0x4000;

/** Whether a string is spelled as a number. */
export function isDecimal(source: Uint8Array, start: number, end: number): boolean {
  return NUMBER.test(textOf(source, start, end));
}

/** A bigint in two halves; the last one read. */
export class BigintReader {
  high = 0;
  low = 0;

  /** The number `source[start, end)`. False: it has a fraction, or more than 64 bits. */
  read(source: Uint8Array, start: number, end: number): boolean {
    if (end - start > MAX_FAST_DIGITS) return this.#readExact(textOf(source, start, end));
    const first = source[start] === MINUS ? start + 1 : start;
    if (first === end) return false;
    let value = 0;
    for (let at = first; at < end; at += 1) {
      const digit = (source[at] ?? 0) - DIGIT_0;
      if (digit < 0 || digit > 9) return this.#readExact(textOf(source, start, end));
      value = value * 10 + digit;
    }
    if (first > start) value = -value;
    this.high = Math.floor(value / TWO_POW_32);
    this.low = value - this.high * TWO_POW_32;
    return true;
  }

  #readExact(text: string): boolean {
    const match = text.length > MAX_BIGINT_CHARACTERS ? null : PARTS.exec(text);
    if (match === null) return false;
    const [, sign = '', integer = '', fraction = '', exponent = '0'] = match;
    const shift = Number(exponent) - fraction.length;
    if (shift > MAX_BIGINT_EXPONENT) return false;
    const digits = shift > 0 ? `${integer}${fraction}${'0'.repeat(shift)}` : `${integer}${fraction}`;
    const whole = shift < 0 ? digits.slice(0, shift) : digits;
    if (/[^0]/.test(digits.slice(whole.length))) return false;
    const value = BigInt(whole === '' ? '0' : whole) * (sign === '-' ? -1n : 1n);
    if (value < MIN_BIGINT || value > MAX_BIGINT) return false;
    this.high = Number(value >> 32n);
    this.low = Number(value & 0xffff_ffffn);
    return true;
  }
}

/**
 * Writes the number `source[start, end)`, which `numeric` can hold, as PostgreSQL reads it: with the digits after the point
 * that it has, zeros among them.
 * @returns how many bytes
 */
export function writeNumeric(target: DataView, to: number, source: Uint8Array, start: number, end: number): number {
  const { isNegative, digits, pointAt, scale } = readDecimal(source, start, end);
  const isZero = digits.length === 0;
  // Of the group of four digits that the first one stands in; the group before the point is 0.
  const weight = isZero ? 0 : Math.ceil(pointAt / 4) - 1;
  let at = to + NUMERIC_HEAD_BYTES;
  const zerosBefore = (weight + 1) * 4 - pointAt;
  for (let from = isZero ? 0 : -zerosBefore; from < digits.length; from += 4) {
    let group = 0;
    for (let place = from; place < from + 4; place += 1) group = group * 10 + (digits[place] ?? 0);
    target.setInt16(at, group);
    at += 2;
  }
  target.setInt16(to, (at - to - NUMERIC_HEAD_BYTES) / 2);
  target.setInt16(to + 2, weight);
  target.setInt16(to + 4, isNegative && !isZero ? NEGATIVE : 0);
  target.setInt16(to + 6, scale);
  return at - to;
}

interface Decimal {
  readonly isNegative: boolean;
  /** Without the zeros at both ends; none for zero. */
  readonly digits: readonly number[];
  /** How many of the digits stand before the point: less than none, or more than all, where zeros stand between. */
  readonly pointAt: number;
  /** Digits after the point, as written. */
  readonly scale: number;
}

function readDecimal(source: Uint8Array, start: number, end: number): Decimal {
  const isNegative = source[start] === MINUS;
  const digits: number[] = [];
  let integerDigits = -1;
  let leadingZeros = 0;
  let at = isNegative ? start + 1 : start;
  for (; at < end; at += 1) {
    const byte = source[at] ?? 0;
    if (byte === DOT) integerDigits = digits.length + leadingZeros;
    else if (byte < DIGIT_0 || byte > 0x39) break;
    else if (byte === DIGIT_0 && digits.length === 0) leadingZeros += 1;
    else digits.push(byte - DIGIT_0);
  }
  const exponent = at < end ? Number(textOf(source, at + 1, end)) : 0;
  const allDigits = digits.length + leadingZeros;
  if (integerDigits < 0) integerDigits = allDigits;
  while (digits.at(-1) === 0) digits.pop();
  return {
    isNegative,
    digits,
    pointAt: integerDigits - leadingZeros + exponent,
    scale: Math.max(0, allDigits - integerDigits - exponent),
  };
}

function textOf(source: Uint8Array, start: number, end: number): string {
  return DECODER.decode(source.subarray(start, end));
}
