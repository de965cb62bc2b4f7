/**
 * What PostgreSQL's `numeric` can hold, and with it every number inside a `jsonb`: up to 131,072 digits before the
 * decimal point and 16,383 after it (documentation, "Numeric Types"; borders checked on PostgreSQL 18 with 1e131071,
 * 1e131072, 1e-16383, 1e-16384, 0e-16384).
 */
const MAX_DIGITS_BEFORE_POINT = 131_072;
const MAX_DIGITS_AFTER_POINT = 16_383;
/** PostgreSQL refuses an exponent of INT_MAX / 2 and more, even after a zero. */
const MAX_EXPONENT = 1_073_741_822;

/** Whether the JSON number `bytes[start, end)` is outside of what `numeric` holds. Expects valid JSON. */
export function isUnfitNumeric(bytes: Uint8Array, start: number, end: number): boolean {
  let at = bytes[start] === 0x2d ? start + 1 : start;
  let integerDigits = 0;
  let fractionDigits = 0;
  let inFraction = false;
  // Position of the first significant digit, counted from the first digit; -1 while all are zero.
  let firstSignificant = -1;
  for (; at < end; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte === 0x2e) {
      inFraction = true;
    } else if (byte === 0x65 || byte === 0x45) {
      break;
    } else {
      if (byte !== 0x30 && firstSignificant < 0) firstSignificant = integerDigits + fractionDigits;
      if (inFraction) fractionDigits += 1;
      else integerDigits += 1;
    }
  }
  const exponent = at < end ? readExponent(bytes, at + 1, end) : 0;
  if (Math.abs(exponent) > MAX_EXPONENT) return true;
  if (fractionDigits - exponent > MAX_DIGITS_AFTER_POINT) return true;
  return firstSignificant >= 0 && integerDigits - firstSignificant + exponent > MAX_DIGITS_BEFORE_POINT;
}

/** The exponent's value, ±Infinity being as good as any number beyond the limit. */
function readExponent(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  const negative = bytes[at] === 0x2d;
  if (negative || bytes[at] === 0x2b) at += 1;
  let value = 0;
  for (; at < end && value <= MAX_EXPONENT; at += 1) value = value * 10 + ((bytes[at] ?? 0x30) - 0x30);
  return negative ? -value : value;
}
