/** Figures of `bench/results/results.json` as Markdown: the tables and checks of the benchmark's suites. */
import { z } from 'zod';

const cell = z.union([z.string(), z.number(), z.null()]);

const machine = z.object({
  processor: z.string(),
  cores: z.number(),
  memoryGb: z.number(),
  system: z.string(),
  node: z.string(),
});

/** As bench/results/results-file.ts writes them: the newest result of each suite, with the machine it was measured on. */
const results = z.array(
  z.object({
    suite: z.string(),
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
    checks: z.array(
      z.object({ what: z.string(), target: z.string(), measured: z.string(), holds: z.boolean().nullable() }),
    ),
  }),
);

const NOT_RUN = '`npm run bench` measures the machine it runs on.';
/** The suite that a newcomer asks about. */
const WHOLE_JOB = 'pipeline';

/** Everything that was measured. @param json text of `bench/results/results.json`; `null` when the benchmark has not been run */
export function benchmarkTables(json: string | null): string {
  const parts: string[] = [];
  for (const suite of read(json)) {
    parts.push(`## ${suite.title}`, takenOn(suite));
    for (const measured of suite.tables) parts.push(`**${measured.title}**`, ...measuredTable(measured));
    parts.push(...promises(suite));
  }
  return parts.length === 0 ? NOT_RUN : parts.join('\n\n');
}

/** The whole job beside other ways, and what it promises. @param json as above */
export function benchmarkHeadline(json: string | null): string {
  const suite = read(json).find((candidate) => candidate.suite === WHOLE_JOB);
  const [measured] = suite?.tables ?? [];
  if (suite === undefined || measured === undefined) return NOT_RUN;
  return [`${measured.title}. ${takenOn(suite)}`, ...measuredTable(measured), ...promises(suite)].join('\n\n');
}

type Suite = z.infer<typeof results>[number];

const read = (json: string | null): Suite[] => (json === null ? [] : results.parse(JSON.parse(json)));

function takenOn({ startedAt, machine: { processor, cores, memoryGb, system, node } }: Suite): string {
  return `${startedAt.slice(0, 10)}, ${processor}, ${cores} cores, ${memoryGb} GB, ${system}, Node ${node}.`;
}

function measuredTable({ columns, rows, note }: Suite['tables'][number]): string[] {
  return [table(columns, rows), ...(note === undefined ? [] : [note])];
}

function promises({ checks }: Suite): string[] {
  if (checks.length === 0) return [];
  const verdict = (holds: boolean | null): string => (holds === null ? 'not judged' : holds ? 'yes' : 'no');
  const rows = checks.map(({ what, target, measured, holds }) => [what, target, measured, verdict(holds)]);
  return [table(['promise', 'target', 'measured', 'holds'], rows)];
}

type Cell = z.infer<typeof cell>;

function table(columns: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const line = (cells: readonly Cell[]): string =>
    `| ${cells.map((value) => String(value ?? '').replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n');
}
