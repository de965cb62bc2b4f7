/** Which parts of which documents the program writes, and from what. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format } from 'prettier';
import { benchmarkHeadline, benchmarkTables } from './benchmark-tables.ts';
import { jsonSchema } from '../src/source/known-words.ts';
import { exitCodeTable } from './exit-codes.ts';
import { metricsTable } from './metrics-table.ts';
import { envExample, settingsByGroup, settingsNamed } from './settings-tables.ts';
import { sourceWordsTable } from './source-words.ts';
import { targetTables } from './target-tables.ts';

export const PROJECT_FOLDER = fileURLToPath(new URL('..', import.meta.url));

/** What most people set; docs/operations.md has all settings. */
const FREQUENT_SETTINGS = [
  'apiBaseUrl',
  'apiKey',
  'databaseUrl',
  'concurrency',
  'threads',
  'connections',
  'pageSize',
  'endpoint',
  'onConflict',
  'idType',
  'mergeInterval',
  'maxWait',
  'httpPort',
  'logFormat',
  'logLevel',
];

const SECTIONS: readonly { file: string; name: string; content: () => Promise<string> | string }[] = [
  { file: 'README.md', name: 'settings', content: () => settingsNamed(FREQUENT_SETTINGS) },
  { file: 'README.md', name: 'exit-codes', content: exitCodeTable },
  { file: 'README.md', name: 'benchmark', content: async () => benchmarkHeadline(await readBenchmark()) },
  { file: 'docs/performance.md', name: 'benchmark', content: async () => benchmarkTables(await readBenchmark()) },
  { file: 'docs/operations.md', name: 'settings', content: () => settingsByGroup(3) },
  { file: 'docs/operations.md', name: 'exit-codes', content: exitCodeTable },
  { file: 'docs/operations.md', name: 'targets', content: targetTables },
  { file: 'docs/sources.md', name: 'words', content: sourceWordsTable },
  { file: 'docs/metrics.md', name: 'metrics', content: metricsTable },
];

/** Every generated document as it should be: path from the project's folder → whole text. */
export async function renderDocuments(): Promise<Map<string, string>> {
  const schema = await format(JSON.stringify(jsonSchema()), { parser: 'json', printWidth: 120 });
  const documents = new Map([
    ['.env.example', envExample()],
    ['sources/schema.json', schema],
  ]);
  for (const file of new Set(SECTIONS.map((section) => section.file))) {
    let text = await readFile(join(PROJECT_FOLDER, file), 'utf8');
    for (const section of SECTIONS) {
      if (section.file === file) text = replaceSection(text, section.name, await section.content());
    }
    documents.set(file, await format(text, { parser: 'markdown', singleQuote: true, printWidth: 120 }));
  }
  return documents;
}

/** Replaces what stands between `<!-- name:begin … -->` and `<!-- name:end -->`. @throws Error without these markers */
export function replaceSection(text: string, name: string, content: string): string {
  const begin = new RegExp(`<!-- ${name}:begin[^>]*-->`).exec(text);
  const end = text.indexOf(`<!-- ${name}:end -->`);
  if (begin === null || end < begin.index) throw new Error(`the markers of the section ${name} are not there`);
  return `${text.slice(0, begin.index + begin[0].length)}\n\n${content}\n\n${text.slice(end)}`;
}

async function readBenchmark(): Promise<string | null> {
  const path = join(PROJECT_FOLDER, 'bench/results/results.json');
  return existsSync(path) ? readFile(path, 'utf8') : null;
}
