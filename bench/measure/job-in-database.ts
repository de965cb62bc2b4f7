/** Runs one job into a fresh database and checks that every event is there: the step that most suites repeat. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runJob, type JobRun } from '../contenders/this-project.ts';
import { countRows } from '../results/result-check.ts';
import type { BenchServer } from './server.ts';
import { Source } from './source.ts';
import type { BenchContext } from '../suite.ts';

export interface JobSetup {
  readonly server: BenchServer;
  readonly events: number;
  /** Further settings of src/simulator/settings.ts. */
  readonly source: Readonly<Record<string, string | number>>;
  readonly flags: readonly string[];
  /** Called for every line that the job writes. */
  readonly onLine?: (line: string) => void;
  /** The address at which the job finds the database, when something stands between. */
  readonly through?: (databaseUrl: string) => string;
  /** Works in the same database until the job is over. */
  readonly beside?: (databaseUrl: string, over: AbortSignal) => Promise<void>;
}

/** @throws Error when the number of rows is not that of the events */
export async function runJobOnce(context: BenchContext, setup: JobSetup): Promise<JobRun> {
  const folder = join(context.folder, 'job');
  await mkdir(folder, { recursive: true });
  const source = await Source.start({ events: setup.events, ...setup.source });
  try {
    return await setup.server.withDatabase(async (url) => {
      const databaseUrl = setup.through?.(url) ?? url;
      const over = new AbortController();
      const beside = setup.beside?.(url, over.signal);
      const run = await runJob({ databaseUrl, source, folder }, setup.flags, setup.onLine).finally(() => {
        over.abort();
      });
      await beside;
      const rows = await countRows(url);
      if (rows !== setup.events) throw new Error(`the job left ${rows} rows of ${setup.events}`);
      return run;
    });
  } finally {
    await source.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
