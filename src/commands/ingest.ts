/** `npm start` and `npm run demo`: one job, from settings to exit code. */
import { IngestionJob, type JobReport } from '../app/ingestion-job.ts';
import { isDemo, openSource, type OpenedSource } from '../app/run/job-source.ts';
import { exitCodeOfSignal, listenForSignals, type StopSignal } from '../app/run/shutdown.ts';
import { commandLine, readSettings, secretsOf, type Environment, type Settings } from '../core/config.ts';
import { EXIT_CODES, describeError, exitCodeOf, type ExitCode } from '../core/errors.ts';
import { snapshotBeforeJob, type JobSnapshot } from '../core/job-snapshot.ts';
import { createLogging, type Logger, type Logging } from '../core/logging.ts';
import { ProcessMeter } from '../watch/metrics/process-figures.ts';
import { createTerminalDisplay } from '../watch/terminal-progress.ts';
import { Watching } from '../watch/watching.ts';
import { confirmReset } from './confirm-reset.ts';
import { logEnd } from './end-of-command.ts';

const DESCRIPTION =
  'Takes every event of the API into PostgreSQL, each exactly once. Can be killed at any moment; start it again to go on.';

/** `npm run demo`: simulated events, whatever is configured. Returns the exit code; the reason has been logged. */
export function demo(argv: readonly string[], environment: Environment): Promise<ExitCode> {
  return ingest(argv, environment, true);
}

/** Returns the exit code; the reason has been logged. */
export async function ingest(argv: readonly string[], environment: Environment, asDemo = false): Promise<ExitCode> {
  const command = commandLine(asDemo ? 'npm run demo --' : 'npm start --', DESCRIPTION, [
    'source',
    'database',
    'speed',
    'run',
    'limits',
    'network',
    'serving',
    'output',
  ]);
  const settings = readSettings(command, argv, environment);
  const display = createTerminalDisplay(process.stdout, environment['TERM']);
  const logging = createLogging({
    format: settings.logFormat,
    level: settings.logLevel,
    secrets: secretsOf(settings),
    ...(display === null ? {} : { write: display.write }),
  });
  const watched = new WatchedJob();
  const stopListening = listenForSignals({
    drain: (signal) => {
      logging.logger.warn({ signal }, 'stopping: no further pages; what has arrived is merged. Again to stop at once');
      watched.stop(signal);
    },
    force: (signal, why) => {
      display?.stop();
      logging.logger.warn(
        { signal, exit_code: exitCodeOfSignal(signal) },
        `ended at once (${why}); start again to go on, nothing is lost`,
      );
      process.exit(exitCodeOfSignal(signal));
    },
  });
  let watching: Watching | null = null;
  let source: OpenedSource | null = null;
  const meter = logging.logger.isLevelEnabled('debug') ? new ProcessMeter() : null;
  let exitCode: ExitCode;
  try {
    if (settings.keepAlive !== undefined) {
      logging.logger.info('--keep-alive (KEEP_ALIVE) does nothing any more; the next version will refuse it');
    }
    if (settings.reset) await confirmReset(settings);
    const snapshot = () => watched.snapshot();
    watching = await Watching.open({ settings, logger: logging.logger, snapshot, stdout: process.stdout, display });
    source = await openSource(settings, asDemo || isDemo(settings), logging.logger);
    const observe = meter?.observing(watching.observe) ?? watching.observe;
    const report = await watched.run(createJob(settings, source, logging, observe));
    exitCode = report.outcome === 'complete' ? EXIT_CODES.complete : exitCodeOfSignal(watched.stoppedBy ?? 'SIGTERM');
    watched.end(exitCode, report.outcome);
    watching.endProgress();
    logReport(logging.logger, report, watched.stoppedBy, exitCode);
  } catch (error) {
    exitCode = exitCodeOf(error);
    watched.end(exitCode, describeError(error));
    watching?.endProgress();
    logEnd(logging.logger, error);
  }
  stopListening();
  if (meter !== null) logging.logger.debug(meter.read(), 'process figures');
  meter?.stop();
  const code = (await watching?.close(exitCode)) ?? exitCode;
  await source?.close().catch((error: unknown) => {
    logging.logger.warn({ err: error }, 'what was started for the job could not be stopped');
  });
  return code;
}

/** The job as signals and watchers see it: also before it is there, and after its end. */
class WatchedJob {
  readonly #startedAtMs = Date.now();
  #job: IngestionJob | null = null;
  #ended: JobSnapshot['ended'] = null;
  #stoppedBy: StopSignal | null = null;

  get stoppedBy(): StopSignal | null {
    return this.#stoppedBy;
  }

  stop(signal: StopSignal): void {
    this.#stoppedBy = signal;
    this.#job?.stop();
  }

  run(job: IngestionJob): Promise<JobReport> {
    this.#job = job;
    // A signal may have come while the database was starting.
    if (this.#stoppedBy !== null) job.stop();
    return job.run();
  }

  end(exitCode: ExitCode, reason: string): void {
    this.#ended = { exitCode, reason };
  }

  snapshot(): JobSnapshot {
    const snapshot = this.#job?.snapshot() ?? snapshotBeforeJob(this.#startedAtMs);
    return this.#ended === null ? snapshot : { ...snapshot, phase: 'ended', ended: this.#ended };
  }
}

function createJob(
  settings: Settings,
  source: OpenedSource,
  logging: Logging,
  observe: Watching['observe'],
): IngestionJob {
  return new IngestionJob({
    settings,
    source,
    logger: logging.logger,
    secrets: secretsOf(settings),
    observe,
    onSecret: (secret) => {
      logging.addSecret(secret);
    },
  });
}

function logReport(logger: Logger, report: JobReport, signal: StopSignal | null, exitCode: ExitCode): void {
  const { counts, requests, seconds } = report;
  const fields = {
    events: counts.served,
    inserted: counts.inserted,
    updated: counts.updated,
    duplicates: counts.duplicates,
    rejected: counts.rejected,
    repaired: counts.repaired,
    pages: counts.pages,
    requests,
    seconds: Number(seconds.toFixed(3)),
    events_per_second: Math.round(report.fetchedEvents / Math.max(seconds, 0.001)),
  };
  if (report.outcome === 'complete') logger.info(fields, 'ingestion complete');
  else logger.warn({ ...fields, signal, exit_code: exitCode }, 'ingestion stopped; start again to go on');
}
