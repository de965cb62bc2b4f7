/** How often each key is left. */
export function tally(keys: readonly string[] | null): Map<string, number> | null {
  if (keys === null) return null;
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

/** False, and nothing taken, where none is left. */
export function takeOne(counts: Map<string, number>, key: string): boolean {
  const count = counts.get(key) ?? 0;
  if (count === 0) return false;
  counts.set(key, count - 1);
  return true;
}
