/** Figures of `bench/results.json` as Markdown: whatever the benchmark's suites say in their tables and checks. */
import { z } from 'zod';

const cell = z.union([z.string(), z.number(), z.null()]);

const suite = z.object({
  title: z.string(),
  startedAt: z.string(),
  tables: z.array(
    z.object({
      title: z.string(),
      columns: z.array(z.string()),
      rows: z.array(z.array(cell)),
      note: z.string().optional(),
    }),
  ),
  checks: z.array(z.object({ what: z.string(), target: z.string(), measured: z.string(), holds: z.boolean() })),
});

const results = z.object({
  machine: z.object({
    processor: z.string(),
    cores: z.number(),
    memoryGb: z.number(),
    system: z.string(),
    node: z.string(),
  }),
  suites: z.array(suite),
});

/** @param json text of `bench/results.json`; `null` when the benchmark has not been run */
export function benchmarkTables(json: string | null): string {
  if (json === null) return '`npm run bench` measures the machine it runs on.';
  const { machine, suites } = results.parse(JSON.parse(json));
  const { processor, cores, memoryGb, system, node } = machine;
  const parts = [`Measured on ${processor}, ${cores} cores, ${memoryGb} GB, ${system}, Node ${node}.`];
  for (const { title, startedAt, tables, checks } of suites) {
    parts.push(`### ${title} (${startedAt.slice(0, 10)})`);
    for (const { title: caption, columns, rows, note } of tables) {
      parts.push(`**${caption}**`, table(columns, rows));
      if (note !== undefined) parts.push(note);
    }
    if (checks.length > 0) {
      const rows = checks.map((check) => [check.what, check.target, check.measured, check.holds ? 'yes' : 'no']);
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
