import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KeptResult } from '../../bench/results/results-file.ts';
import { benchmarkHeadline, benchmarkTables } from '../../scripts/benchmark-tables.ts';
import { replaceSection } from '../../scripts/documents.ts';

const RESULT: KeptResult = {
  suite: 'pipeline',
  title: 'Whole job',
  startedAt: '2026-11-25T05:00:00.000Z',
  seconds: 60,
  loadBefore: 0.1,
  machine: { processor: 'A chip', cores: 2, memoryGb: 24, system: 'Linux 6', node: 'v20.20.2', stolenPercent: null },
  tables: [{ title: 'Seconds', columns: ['contender', 's'], rows: [['floor | COPY', 1.5]], note: 'Medians.' }],
  charts: [],
  checks: [
    { what: 'ratio', target: '≤ 1.35', measured: '1.3', holds: true },
    { what: 'memory', target: '≤ 350 MB at 3 events', measured: '300 MB', holds: null },
  ],
  raw: null,
};

test('figures of the benchmark are pasted with the machine they were taken on', () => {
  const text = benchmarkTables(JSON.stringify([RESULT]));
  assert.match(text, /## Whole job\n\n2026-11-25, A chip, 2 cores, 24 GB, Linux 6, Node v20\.20\.2\./);
  assert.match(text, /\| floor \\\| COPY \| 1\.5 \|\n\nMedians\./);
  assert.match(text, /\| ratio \| ≤ 1\.35 \| 1\.3 \| yes \|/);
  assert.match(text, /\| memory \| ≤ 350 MB at 3 events \| 300 MB \| not judged \|/);
});

test('the README has the whole job alone, with what it promises', () => {
  const text = benchmarkHeadline(JSON.stringify([{ ...RESULT, suite: 'micro', title: 'Other' }, RESULT]));
  assert.match(text, /^Seconds\. 2026-11-25, A chip, [^]*\| floor \\\| COPY \| 1\.5 \|[^]*\| ratio \|/);
  assert.doesNotMatch(text, /Other/);
});

test('without results the documents say how to get them', () => {
  assert.match(benchmarkTables(null), /npm run bench/);
  assert.match(benchmarkHeadline(null), /npm run bench/);
  assert.match(benchmarkHeadline('[]'), /npm run bench/);
});

test('a section is replaced between its markers, and missed when they are not there', () => {
  const text = 'a\n<!-- x:begin (how) -->\nold\n<!-- x:end -->\nb\n';
  assert.equal(replaceSection(text, 'x', 'new'), 'a\n<!-- x:begin (how) -->\n\nnew\n\n<!-- x:end -->\nb\n');
  assert.throws(() => replaceSection(text, 'y', 'new'), /section y/);
});
