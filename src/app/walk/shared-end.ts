/**
 * How many events at the end of one page come again at the beginning of the next. Pure. A single one may be an id that the API has
 * twice, or what an inclusive cursor brings again; and keys that repeat within the stretch show no order.
 */
const MIN_SHARED = 2;

/** @returns the longest such stretch, 0 when there is none. The keys are those of all events, in serving order */
export function sharedEnd(before: readonly string[], keys: readonly string[]): number {
  for (let length = Math.min(before.length, keys.length); length >= MIN_SHARED; length -= 1) {
    const from = before.length - length;
    let at = 0;
    while (at < length && before[from + at] === keys[at]) at += 1;
    if (at === length) return new Set(keys.slice(0, length)).size === length ? length : 0;
  }
  return 0;
}
