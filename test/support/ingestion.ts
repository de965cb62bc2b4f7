/** One job against a simulator and a database, in the test's own process, with real sockets, threads and PostgreSQL. */
import assert from 'node:assert/strict';
import { pino } from 'pino';
import { IngestionJob, type JobReport } from '../../src/app/ingestion-job.ts';
import type { JobOptions } from '../../src/app/job-options.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { DescribedSource } from '../../src/app/run/described-source.ts';
import type { ColumnPlan } from '../../src/core/column-plan.ts';
import { commandLine, readSettings, secretsOf, type Environment } from '../../src/core/config.ts';
import { EXIT_CODES, exitCodeOf, type ExitCode } from '../../src/core/errors.ts';
import type { JobSnapshot } from '../../src/core/job-snapshot.ts';
import { SETTING_GROUPS } from '../../src/core/settings-table.ts';
import { KEY } from './simulator-client.ts';

/** Events a page, unless the test says otherwise. */
export const PAGE_SIZE = 500;

export interface JobTarget {
  readonly baseUrl: string;
  readonly databaseUrl: string;
  /** Of another source than DataSync. */
  readonly plan?: ColumnPlan;
  readonly described?: DescribedSource;
}

export interface JobEnd {
  readonly exitCode: ExitCode;
  /** `null` when it ended with an error. */
  readonly report: JobReport | null;
  readonly error: Error | null;
  readonly snapshot: JobSnapshot;
  /** Lines of the log, one JSON text each. */
  readonly log: readonly string[];
}

/** Makes a job without starting it; `settings` are environment variables, as a user would set them, and `flags` beat them. */
export function jobFor(
  target: JobTarget,
  settings: Environment = {},
  flags: readonly string[] = [],
  waits: JobOptions['waits'] = {},
  clock?: Clock,
): { job: IngestionJob; run: () => Promise<JobEnd>; log: string[] } {
  const command = commandLine('test', 'a job under test', SETTING_GROUPS);
  const read = readSettings(command, flags, {
    API_BASE_URL: target.baseUrl,
    TARGET_API_KEY: KEY,
    DATABASE_URL: target.databaseUrl,
    WORKER_CONCURRENCY: '4',
    WORKER_THREADS: '1',
    DB_CONNECTIONS: '2',
    BATCH_SIZE: String(PAGE_SIZE),
    MAX_WAIT: '60',
    ...settings,
  });
  const log: string[] = [];
  const logger = pino({ level: 'debug' }, { write: (line: string) => log.push(line) });
  const job = new IngestionJob({
    settings: read,
    source: { ...target, name: read.source, address: target.described?.address ?? target.baseUrl, apiKey: KEY },
    logger,
    secrets: secretsOf(read),
    onSecret: () => undefined,
    waits,
    ...(clock === undefined ? {} : { clock }),
  });
  const run = async (): Promise<JobEnd> => {
    try {
      const report = await job.run();
      const exitCode = report.outcome === 'complete' ? EXIT_CODES.complete : EXIT_CODES.terminated;
      return { exitCode, report, error: null, snapshot: job.snapshot(), log };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return { exitCode: exitCodeOf(error), report: null, error, snapshot: job.snapshot(), log };
    }
  };
  return { job, run, log };
}

/** Runs a job to its end, good or bad. */
export async function ingest(target: JobTarget, settings: Environment = {}): Promise<JobEnd> {
  return jobFor(target, settings).run();
}

/** The job ended without an error; else the failure shows what it logged last. */
export function assertComplete(end: JobEnd): void {
  assert.equal(end.error, null, `${String(end.error)}\n${end.log.slice(-40).join('')}`);
}
