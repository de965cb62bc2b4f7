/**
 * JSON with its numbers as they were written: those that a double would change come as bigints, or as texts where they are no
 * whole numbers. A position may be a number of 19 digits.
 */

const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;
/** Every number of so few characters is exact as a double. */
const EXACT_CHARACTERS = 15;
/** Begins the text that stands in for a number. It is of a private area of Unicode. */
const MARK = '\uf8ff';

/** @throws SyntaxError */
export function parseExactly(text: string): unknown {
  // First: what is no JSON must not become some.
  const plain: unknown = JSON.parse(text);
  const marked = text.replaceAll(STRING_OR_NUMBER, (token) => {
    const isExact = token.startsWith('"') || token.length <= EXACT_CHARACTERS || String(Number(token)) === token;
    return isExact ? token : `"${MARK}${token}"`;
  });
  if (marked === text) return plain;
  return JSON.parse(marked, (_, value: unknown) => {
    if (typeof value !== 'string' || !value.startsWith(MARK)) return value;
    const number = value.slice(MARK.length);
    return /^-?\d+$/.test(number) ? BigInt(number) : number;
  });
}
