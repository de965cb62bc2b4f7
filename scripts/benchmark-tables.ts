/** Figures of `bench/results.json` as Markdown: whatever the benchmark's suites say in their tables and checks. */
import { z } from 'zod';

const cell = z.union([z.string(), z.number(), z.null()]);

const machine = z.object({
  processor: z.string(),
  cores: z.number(),
  memoryGb: z.number(),
  system: z.string(),
  node: z.string(),
});

/** As bench/results-file.ts keeps them: the newest result of each suite, with the machine it was taken on. */
const results = z.array(
  z.object({
    title: z.string(),
    startedAt: z.string(),
    machine,
    tables: z.array(
      z.object({
        title: z.string(),
        columns: z.array(z.string()),
        rows: z.array(z.array(cell)),
        note: z.string().optional(),
      }),
    ),
    checks: z.array(z.object({ what: z.string(), target: z.string(), measured: z.string(), holds: z.boolean() })),
  }),
);

/** @param json text of `bench/results.json`; `null` when the benchmark has not been run */
export function benchmarkTables(json: string | null): string {
  if (json === null) return '`npm run bench` measures the machine it runs on.';
  const parts: string[] = [];
  for (const suite of results.parse(JSON.parse(json))) {
    const { processor, cores, memoryGb, system, node } = suite.machine;
    parts.push(
      `### ${suite.title}`,
      `${suite.startedAt.slice(0, 10)}, ${processor}, ${cores} cores, ${memoryGb} GB, ${system}, Node ${node}.`,
    );
    for (const { title, columns, rows, note } of suite.tables) {
      parts.push(`**${title}**`, table(columns, rows));
      if (note !== undefined) parts.push(note);
    }
    if (suite.checks.length > 0) {
      const rows = suite.checks.map((check) => [check.what, check.target, check.measured, check.holds ? 'yes' : 'no']);
      parts.push(table(['promise', 'target', 'measured', 'holds'], rows));
    }
  }
  return parts.join('\n\n');
}

type Cell = z.infer<typeof cell>;

function table(columns: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const line = (cells: readonly Cell[]): string =>
    `| ${cells.map((value) => String(value ?? '').replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n');
}
