/** A job of a described source in the test's own process, as the program makes it from the text of a description. */
import assert from 'node:assert/strict';
import { pino } from 'pino';
import { describedSource } from '../../src/app/run/described-source.ts';
import { openSource } from '../../src/app/run/job-source.ts';
import { IngestionJob } from '../../src/app/ingestion-job.ts';
import type { JobOptions } from '../../src/app/job-options.ts';
import { commandLine, readSettings, type Environment } from '../../src/core/config.ts';
import { SETTING_GROUPS } from '../../src/core/settings-table.ts';
import { readDescription } from '../../src/source/read-description.ts';

export interface DescribedJob {
  /** Of the description. It must have no problems. */
  readonly text: string;
  /** What the description takes from the environment. */
  readonly variables: Environment;
  /** Settings as variables; `flags` beat them. */
  readonly settings: Environment;
  readonly flags: readonly string[];
  readonly waits: NonNullable<JobOptions['waits']>;
}

/** @param log takes the job's lines, one JSON text each */
export async function describedJob(
  { text, variables, settings: given, flags, waits }: DescribedJob,
  log: string[],
): Promise<IngestionJob> {
  const { description, problems } = readDescription(text);
  assert.deepEqual(problems, []);
  assert.ok(description !== null);
  const command = commandLine('test', 'a job under test', SETTING_GROUPS);
  const asked = readSettings(command, ['--source', description.name, ...flags], given);
  const described = describedSource(description, variables);
  const settings = { ...asked, pageSize: Math.min(asked.pageSize, described.maxPage ?? Infinity) };
  const logger = pino({ level: 'debug' }, { write: (line: string) => log.push(line) });
  const source = await openSource(settings, false, logger, described);
  return new IngestionJob({ settings, source, logger, secrets: described.secrets, onSecret: () => undefined, waits });
}
