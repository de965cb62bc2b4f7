/** `npm start` and `npm run demo`: one job, from settings to exit code. */
import { IngestionJob, type JobReport } from '../app/ingestion-job.ts';
import { isDemo, openSource, type OpenedSource } from '../app/job-source.ts';
import { exitCodeOfSignal, listenForSignals, type StopSignal } from '../app/shutdown.ts';
import { commandLine, readSettings, secretsOf, type Environment, type Settings } from '../core/config.ts';
import { EXIT_CODES, exitCodeOf, type ExitCode } from '../core/errors.ts';
import { createLogging, type Logging } from '../core/logging.ts';
import { ProcessMeter } from '../core/process-figures.ts';
import { confirmReset } from './confirm-reset.ts';
import { logEnd } from './end-of-command.ts';

const DESCRIPTION =
  'Takes every event of the API into PostgreSQL, each exactly once. Can be killed at any moment; start it again to go on.';

/** Returns the exit code; the reason has been logged. */
export async function ingest(argv: readonly string[], environment: Environment, asDemo: boolean): Promise<ExitCode> {
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
  const logging = createLogging({ format: settings.logFormat, level: settings.logLevel, secrets: secretsOf(settings) });
  const meter = logging.logger.isLevelEnabled('debug') ? new ProcessMeter() : null;
  let source: OpenedSource | null = null;
  let job: IngestionJob | null = null;
  let stoppedBy: StopSignal | null = null;
  const stopListening = listenForSignals({
    drain: (signal) => {
      stoppedBy = signal;
      logging.logger.warn({ signal }, 'stopping: no further pages; what has arrived is merged. Again to stop at once');
      job?.stop();
    },
    force: (signal, why) => {
      logging.logger.warn({ signal }, `ended at once (${why}); start again to go on, nothing is lost`);
      process.exit(exitCodeOfSignal(signal));
    },
  });
  try {
    if (settings.reset) await confirmReset(settings);
    source = await openSource(settings, asDemo || isDemo(settings), logging.logger);
    job = new IngestionJob({
      settings,
      source,
      logger: logging.logger,
      secrets: secretsOf(settings),
      observe: meter?.observing({}) ?? {},
      onSecret: (secret) => {
        logging.addSecret(secret);
      },
    });
    // A signal may have come while the database was starting.
    if (isSet(stoppedBy)) job.stop();
    const report = await job.run();
    return finish(settings, logging, report, stoppedBy);
  } catch (error) {
    logEnd(logging.logger, error);
    return exitCodeOf(error);
  } finally {
    await source?.close().catch((error: unknown) => {
      logging.logger.warn({ err: error }, 'what was started for the job could not be stopped');
    });
    stopListening();
    if (meter !== null) logging.logger.debug(meter.read(), 'process figures');
    meter?.stop();
  }
}

/** A signal's handler sets it meanwhile, which the compiler cannot see. */
function isSet(signal: StopSignal | null): boolean {
  return signal !== null;
}

function finish(_settings: Settings, { logger }: Logging, report: JobReport, signal: StopSignal | null): ExitCode {
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
  if (report.outcome === 'complete') {
    logger.info(fields, 'ingestion complete');
    return EXIT_CODES.complete;
  }
  logger.warn({ ...fields, signal }, 'ingestion stopped; start again to go on');
  return exitCodeOfSignal(signal ?? 'SIGTERM');
}
