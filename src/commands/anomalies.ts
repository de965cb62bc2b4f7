/** `npm run anomalies`: counts rejected and repaired events by reason, and writes their original bytes. */
import { isUtf8 } from 'node:buffer';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import Table from 'cli-table3';
import { Option } from 'commander';
import type { Environment } from '../core/config.ts';
import type { AnomalyKind } from '../core/encoded-page.ts';
import { ConfigurationError, describeError, type ExitCode } from '../core/errors.ts';
import {
  countAnomalies,
  readAnomalies,
  type Anomaly,
  type AnomalyCount,
  type AnomalyFilter,
} from '../load/copy/anomalies.ts';
import type { Database } from '../load/postgres/database.ts';
import type { Source } from '../load/schema/source.ts';
import { reportCommand } from './report-command.ts';

const KINDS: readonly AnomalyKind[] = ['rejected', 'repaired'];

/** The command; prints to stdout. */
export function anomalies(argv: readonly string[], environment: Environment): Promise<ExitCode> {
  return reportCommand(argv, environment, {
    name: 'anomalies',
    description: 'Counts anomalies of events by reason: rejected (no row) or repaired (a row, with a change).',
    groups: [],
    addOptions: (command) => {
      command.option('--run <id>', 'only anomalies of this run');
      command.addOption(new Option('--kind <kind>', 'only anomalies of this kind').choices(KINDS));
      command.option('--output <file>', 'write every anomaly with its original event to this file, as JSON lines');
    },
    work: async ({ db, source, isJson, options }) => {
      const filter = readFilter(options);
      const counts = await countAnomalies(db, source, filter);
      process.stdout.write(`${isJson ? JSON.stringify(counts, null, 2) : describeCounts(counts)}\n`);
      const { output } = options;
      if (typeof output !== 'string') return;
      const written = await writeAnomalies(db, source, filter, output);
      process.stderr.write(`${written} anomalies in ${output}\n`);
    },
  });
}

function readFilter({ run, kind }: Readonly<Record<string, unknown>>): AnomalyFilter {
  if (typeof run === 'string' && !/^\d{1,15}$/.test(run)) {
    throw new ConfigurationError(`--run: expected the number of a run, got "${run}"`);
  }
  const known = KINDS.find((candidate) => candidate === kind);
  return { ...(run === undefined ? {} : { runId: Number(run) }), ...(known === undefined ? {} : { kind: known }) };
}

function describeCounts(counts: readonly AnomalyCount[]): string {
  if (counts.length === 0) return 'No anomalies.';
  const table = new Table({ head: ['events', 'kind', 'field', 'reason'], style: { head: [], border: [] } });
  for (const { count, kind, field, reason } of counts) table.push([count.toLocaleString('en'), kind, field, reason]);
  return table.toString();
}

/** One JSON object a line. The original is text where it is UTF-8, else Base64: no byte is lost either way. */
async function writeAnomalies(db: Database, source: Source, filter: AnomalyFilter, path: string): Promise<number> {
  const file = createWriteStream(path);
  let written = 0;
  try {
    await once(file, 'open');
    for await (const anomaly of readAnomalies(db, source, filter)) {
      written += 1;
      if (!file.write(`${JSON.stringify(describeAnomaly(anomaly))}\n`)) await once(file, 'drain');
    }
    file.end();
    await finished(file);
  } catch (cause) {
    file.destroy();
    if (file.errored === null) throw cause;
    throw new ConfigurationError(`--output: ${path} cannot be written: ${describeError(cause)}`, { cause });
  }
  return written;
}

function describeAnomaly({ original, ...where }: Anomaly): object {
  return isUtf8(original)
    ? { ...where, original: original.toString('utf8') }
    : { ...where, originalBase64: original.toString('base64') };
}
