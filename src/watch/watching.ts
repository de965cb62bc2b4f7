/** Everything that watches one job: progress for whoever started it, and page, metrics and health when a port is set. */
import type { Settings } from '../core/config.ts';
import { EXIT_CODES, type ExitCode } from '../core/errors.ts';
import type { JobObserver } from '../core/job-snapshot.ts';
import type { Logger } from '../core/logging.ts';
import { startEventLoopMonitor } from './metrics/event-loop-delay.ts';
import { processFigures } from './metrics/process-figures.ts';
import { RecentWork } from './metrics/recent-work.ts';
import { startProgress, type ProgressOptions } from './terminal-progress.ts';

/** Ends that a restart would only repeat: under `--stay` the process stays, so that nothing restarts it again and again. */
export const ENDS_THAT_STAY: readonly ExitCode[] = [
  EXIT_CODES.complete,
  EXIT_CODES.configuration,
  EXIT_CODES.keyRefused,
  EXIT_CODES.countsDisagree,
];

export interface WatchingOptions extends ProgressOptions {
  readonly settings: Settings;
}

export interface Watching {
  /** What the job's stages report to. */
  readonly observe: JobObserver;
  /** Replaces the display by the summary. Call it when the snapshot says how the job ended, before the last log line. */
  endProgress(): void;
  /** With `--stay` keeps serving until it is told to stop, then closes the port. Returns the code to exit with. */
  close(exitCode: ExitCode, stopped: () => Promise<NodeJS.Signals>): Promise<ExitCode>;
}

/** @throws ConfigurationError when the port cannot be had */
export async function startWatching(options: WatchingOptions): Promise<Watching> {
  const { settings, logger } = options;
  const work = new RecentWork();
  const serving = await serve(options, work);
  const stopProgress = startProgress(options);
  const eventLoop = logger.isLevelEnabled('debug') ? startEventLoopMonitor() : null;
  return {
    observe: work.observing(serving?.observe ?? {}),
    endProgress() {
      stopProgress();
      if (eventLoop !== null) logger.debug(processFigures(work, eventLoop.read()), 'process figures');
      eventLoop?.stop();
    },
    async close(exitCode, stopped) {
      if (serving === null) return exitCode;
      const stays = settings.stay && ENDS_THAT_STAY.includes(exitCode);
      const code = stays ? await keepServing(serving.url, exitCode, stopped, logger) : exitCode;
      await serving.close();
      return code;
    },
  };
}

/** Its modules are loaded only when a port is set: a job that nobody watches starts without them. */
async function serve({ settings, snapshot, logger }: WatchingOptions, work: RecentWork) {
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
    work,
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

/**
 * `--stay`: waits after the job has ended. SIGTERM is how services are stopped: stopping a server that has nothing left to do
 * is no failure, and the code is 0. Ctrl-C comes from somebody at a terminal: the code is what the job ended with.
 */
async function keepServing(
  url: string,
  exitCode: ExitCode,
  stopped: () => Promise<NodeJS.Signals>,
  logger: Logger,
): Promise<ExitCode> {
  logger.info({ url, exit_code: exitCode }, 'the job has ended; still serving until stopped');
  // Signal handlers do not keep a process alive, and the timers of watchers are not allowed to.
  const alive = setInterval(() => undefined, 2 ** 30);
  const signal = await stopped();
  clearInterval(alive);
  logger.info({ signal }, 'stopped serving');
  return signal === 'SIGTERM' ? EXIT_CODES.complete : exitCode;
}
