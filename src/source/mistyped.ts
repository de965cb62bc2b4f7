/** What somebody may have meant by a word that is none. */

/** At most one mistake in this many letters. */
const LETTERS_A_MISTAKE = 3;

/** The known word that is nearest; `null` when none is near. */
export function meantWord(written: string, known: readonly string[]): string | null {
  const plain = plainly(written);
  let nearest: string | null = null;
  let fewest = Math.max(1, Math.floor(plain.length / LETTERS_A_MISTAKE)) + 1;
  for (const word of known) {
    const mistakes = mistakesBetween(plain, plainly(word));
    if (mistakes < fewest) [nearest, fewest] = [word, mistakes];
  }
  return nearest;
}

/** `last_record` is `lastRecord`. */
function plainly(word: string): string {
  return word.toLowerCase().replaceAll(/[^a-z\d]/g, '');
}

/** Letters that are missing, too many, wrong, or exchanged with their neighbour. */
function mistakesBetween(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const isSame = a[i - 1] === b[j - 1];
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (isSame ? 0 : 1));
      const isExchanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isExchanged) cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    [before, last] = [last, row];
  }
  return last[b.length] ?? 0;
}
