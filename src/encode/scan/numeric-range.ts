/**
 * What PostgreSQL's `numeric` can hold, and with it every number inside a `jsonb`: up to 131,072 digits before the
 * decimal point and 16,383 after it (documentation, "Numeric Types"; borders checked on PostgreSQL 18 with 1e131071,
 * 1e131072, 1e-16383, 1e-16384, 0e-16384).
 */
const MAX_DIGITS_BEFORE_POINT = 131_072;
const MAX_DIGITS_AFTER_POINT = 16_383;
/** PostgreSQL refuses an exponent of INT_MAX / 2 and more, even after a zero. */
const MAX_EXPONENT = 1_073_741_822;

const NUMBER = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
const DECODER = new TextDecoder();

/** True if `numeric` cannot hold the JSON number `bytes[start, end)`. */
export function isUnfitNumeric(bytes: Uint8Array, start: number, end: number): boolean {
  const match = NUMBER.exec(DECODER.decode(bytes.subarray(start, end)));
  if (match === null) throw new RangeError('a JSON number was expected');
  const [, integer = '', fraction = '', exponentText = '0'] = match;
  const exponent = Number(exponentText);
  if (Math.abs(exponent) > MAX_EXPONENT) return true;
  if (fraction.length - exponent > MAX_DIGITS_AFTER_POINT) return true;
  const zeros = (integer + fraction).search(/[1-9]/);
  return zeros >= 0 && integer.length - zeros + exponent > MAX_DIGITS_BEFORE_POINT;
}
