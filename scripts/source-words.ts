/** The table of words in `docs/sources.md`, from the vocabulary that descriptions are checked by. */
import { meaningOf, wordsAt } from '../src/source/known-words.ts';

/** Stands for a name that the description gives itself, as that of a column. */
const ANY_NAME = 'NAME';

export function sourceWordsTable(): string {
  const rows = wordRows([]).map(([word, meaning]) => `| \`${word}\` | ${meaning.replaceAll('|', '\\|')} |`);
  return ['| word | meaning |', '| --- | --- |', ...rows].join('\n');
}

function wordRows(path: readonly string[]): (readonly [word: string, meaning: string])[] {
  const place = [path, [...path, ANY_NAME]].find((candidate) => wordsAt(candidate).length > 0) ?? path;
  return wordsAt(place).flatMap((word) => {
    const inner = [...place, word];
    return [[inner.join('.'), meaningOf(inner) ?? ''] as const, ...wordRows(inner)];
  });
}
