/** Everything that watches one job: progress for whoever started it, and the page, metrics and health when a port is set. */
import type { WriteStream } from 'node:tty';
import type { Settings } from '../core/config.ts';
import { EXIT_CODES, type ExitCode } from '../core/errors.ts';
import type { JobObserver, JobSnapshot } from '../core/job-snapshot.ts';
import type { Logger } from '../core/logging.ts';
import { keepServing } from './keep-serving.ts';
import { startProgress, type Progress, type TerminalDisplay } from './terminal-progress.ts';

/** Ends that a restart would only repeat: under `--stay` the process stays and says so, instead of being restarted for ever. */
const ENDS_THAT_STAY: readonly ExitCode[] = [
  EXIT_CODES.complete,
  EXIT_CODES.configuration,
  EXIT_CODES.keyRefused,
  EXIT_CODES.countsDisagree,
];

export interface WatchingOptions {
  readonly settings: Settings;
  readonly logger: Logger;
  readonly snapshot: () => JobSnapshot;
  readonly stdout: WriteStream;
  readonly display: TerminalDisplay | null;
}

interface Serving {
  readonly url: string;
  readonly observe: JobObserver;
  close(): Promise<void>;
}

export class Watching {
  readonly #options: WatchingOptions;
  readonly #serving: Serving | null;
  readonly #progress: Progress;

  private constructor(options: WatchingOptions, serving: Serving | null) {
    this.#options = options;
    this.#serving = serving;
    this.#progress = startProgress(options);
  }

  /** @throws ConfigurationError when the port cannot be had */
  static async open(options: WatchingOptions): Promise<Watching> {
    return new Watching(options, await serve(options));
  }

  /** What the job's stages report to. */
  get observe(): JobObserver {
    return this.#serving?.observe ?? {};
  }

  /** Takes the display away and leaves the summary; call it when the snapshot says how it ended, before the last log line. */
  endProgress(): void {
    this.#progress.stop();
  }

  /** Goes on serving when that is wanted, then lets go of the port. Returns the code to exit with. */
  async close(exitCode: ExitCode): Promise<ExitCode> {
    if (this.#serving === null) return exitCode;
    const { settings, logger } = this.#options;
    const stays = settings.stay && ENDS_THAT_STAY.includes(exitCode);
    const code = stays ? await keepServing({ url: this.#serving.url, exitCode, logger }) : exitCode;
    await this.#serving.close();
    return code;
  }
}

/** Loaded only when a port is set: a job that nobody watches starts without it. */
async function serve({ settings, snapshot, logger }: WatchingOptions): Promise<Serving | null> {
  if (settings.httpPort === undefined) return null;
  const [{ createMetrics }, { startHttpServer }] = await Promise.all([
    import('./metrics/metrics.ts'),
    import('./http-server.ts'),
  ]);
  const metrics = createMetrics(snapshot);
  const server = await startHttpServer({
    host: settings.httpHost,
    port: settings.httpPort,
    snapshot,
    metrics,
    stallAfterMs: settings.stallAfter,
    logger,
  });
  return {
    url: server.url,
    observe: metrics.observe,
    close: async () => {
      await server.close();
      metrics.close();
    },
  };
}
