/** A job in the test's own process, watched as a program is. A program costs two seconds of a core more: it is for signals and kills. */
import type { TestContext } from 'node:test';
import type { IngestionJob } from '../../src/app/ingestion-job.ts';
import type { Environment } from '../../src/core/config.ts';
import type { ExitCode } from '../../src/core/errors.ts';
import { jobFor, type JobEnd, type JobTarget } from '../support/ingestion.ts';
import type { LogLine } from '../support/processes.ts';

export class RunningJob {
  readonly #job: IngestionJob;
  readonly #log: readonly string[];
  readonly #ending: Promise<JobEnd>;
  readonly #lines: LogLine[] = [];
  #end: JobEnd | null = null;

  private constructor({ job, run, log }: ReturnType<typeof jobFor>) {
    this.#job = job;
    this.#log = log;
    this.#ending = run().then((end) => (this.#end = end));
  }

  /** It is stopped when the test ends. */
  static start(
    t: TestContext,
    target: JobTarget,
    { settings, flags }: { settings: Environment; flags: readonly string[] },
  ): RunningJob {
    const running = new RunningJob(jobFor(target, settings, flags));
    t.after(async () => {
      running.stop();
      await running.waitForExit();
    });
    return running;
  }

  get logs(): readonly LogLine[] {
    for (const line of this.#log.slice(this.#lines.length)) this.#lines.push(JSON.parse(line) as LogLine);
    return this.#lines;
  }

  get stdout(): string {
    return this.#log.join('');
  }

  /** What it failed with, which a program would log last. */
  get stderr(): string {
    return this.#end?.error?.message ?? '';
  }

  get ended(): { readonly code: ExitCode } | null {
    return this.#end === null ? null : { code: this.#end.exitCode };
  }

  /** As SIGTERM does. */
  stop(): void {
    this.#job.stop();
  }

  async waitForExit(): Promise<{ readonly code: ExitCode }> {
    return { code: (await this.#ending).exitCode };
  }
}
