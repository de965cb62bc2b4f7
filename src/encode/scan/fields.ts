/** What kind of value stands in a field. */
export const KIND = {
  absent: 0,
  text: 1,
  /** A string with at least one escape. */
  escapedText: 2,
  number: 3,
  object: 4,
  array: 5,
  boolean: 6,
  null: 7,
} as const;

export function isString(kind: number): boolean {
  return kind === KIND.text || kind === KIND.escapedText;
}
