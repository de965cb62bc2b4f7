/** The simulated API in a process of its own. */
import { z } from 'zod';
import { RunningProgram, cpuSecondsOf } from './processes.ts';

const entrySchema = z.object({
  kind: z.string(),
  atMs: z.number(),
  doneMs: z.number().nullable(),
  status: z.number(),
  limit: z.number().nullable(),
  events: z.number(),
});

export type LogEntry = z.output<typeof entrySchema>;

export class Source {
  readonly baseUrl: string;
  readonly #program: RunningProgram;

  private constructor(baseUrl: string, program: RunningProgram) {
    this.baseUrl = baseUrl;
    this.#program = program;
  }

  /** Starts the simulator with settings of src/simulator/settings.ts. Resolves when it serves. */
  static async start(settings: Readonly<Record<string, string | number>>): Promise<Source> {
    const flags = Object.entries({ port: 0, ...settings }).flatMap(([name, value]) => [
      `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
      String(value),
    ]);
    let ready: (baseUrl: string) => void = () => undefined;
    const serving = new Promise<string>((resolve) => {
      ready = resolve;
    });
    const program = new RunningProgram(
      [process.execPath, '--max-old-space-size=8192', '--import', 'tsx', 'src/main.ts', 'simulate', ...flags],
      {
        onLine: (line) => {
          const found = /simulator: (\S+) serves/.exec(line)?.[1];
          if (found !== undefined) ready(found);
        },
      },
    );
    const failed = program.succeeded().then(() => {
      throw new Error('the simulator ended before it served');
    });
    failed.catch(() => undefined);
    return new Source(await Promise.race([serving, failed]), program);
  }

  async cpuSeconds(): Promise<number> {
    return (await cpuSecondsOf(this.#program.pid)) ?? 0;
  }

  /** Number of requests so far: the argument for {@link requestsSince}. */
  async requestCount(): Promise<number> {
    const stats = z.object({ requestsTotal: z.number() }).parse(await this.#control('stats'));
    return stats.requestsTotal;
  }

  /** @returns the requests after the first `count`, in order of arrival */
  async requestsSince(count: number): Promise<LogEntry[]> {
    const log = z.array(entrySchema.extend({ n: z.number() })).parse(await this.#control('log'));
    return log.filter((entry) => entry.n > count);
  }

  async stop(): Promise<void> {
    this.#program.kill('SIGTERM');
    await this.#program.ended;
  }

  async #control(what: string): Promise<unknown> {
    const response = await fetch(new URL(`/__sim/${what}`, this.baseUrl));
    return response.json();
  }
}
