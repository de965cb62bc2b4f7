/** `npm start` and `npm run demo`: one job, from settings to exit code. */
import { IngestionJob, type JobReport } from '../app/ingestion-job.ts';
import { describedSource } from '../app/run/described-source.ts';
import { openSource, type OpenedSource } from '../app/run/job-source.ts';
import { exitCodeOfSignal, listenForSignals, nextStopSignal, type StopSignal } from '../app/run/shutdown.ts';
import { commandLine, readSettings, secretsOf, type Environment } from '../core/config.ts';
import { EXIT_CODES, describeError, exitCodeOf, type ExitCode } from '../core/errors.ts';
import { snapshotBeforeJob, type JobSnapshot } from '../core/job-snapshot.ts';
import { createLogging, type Logger } from '../core/logging.ts';
import { SETTING_GROUPS } from '../core/settings-table.ts';
import { readDatabaseUrl } from '../load/postgres/connection-settings.ts';
import { tableOf } from '../load/schema/source.ts';
import { namedSource } from '../source/named-source.ts';
import { createTerminalDisplay } from '../watch/terminal-progress.ts';
import { startWatching, type Watching } from '../watch/watching.ts';
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
  const command = commandLine(asDemo ? 'npm run demo --' : 'npm start --', DESCRIPTION, SETTING_GROUPS);
  const asked = readSettings(command, argv, environment);
  const { name, description } = namedSource(asked.source);
  const described = description === null ? null : describedSource(description, environment);
  const settings = { ...asked, source: name, pageSize: Math.min(asked.pageSize, described?.maxPage ?? Infinity) };
  const secrets = [...secretsOf(settings), ...(described?.secrets ?? [])];
  const display = createTerminalDisplay(process.stdout, environment['TERM']);
  const logging = createLogging({
    format: settings.logFormat,
    level: settings.logLevel,
    secrets,
    ...(display === null ? {} : { write: display.write }),
  });
  const { logger } = logging;
  const watched = new WatchedJob(described?.card ?? null);
  const hungUp = (): void => {
    logger.warn('SIGHUP: a terminal was closed; this does not write to it, and goes on. SIGTERM stops it');
  };
  const stopListening = listenForSignals({
    drain: (signal) => {
      logger.warn({ signal }, 'stopping: no further pages; what has arrived is merged. Again to stop at once');
      watched.stop(signal);
    },
    force: (signal, why) => {
      display?.stop();
      logger.warn(
        { signal, exit_code: exitCodeOfSignal(signal) },
        `ended at once (${why}); start again to go on, nothing is lost`,
      );
      process.exit(exitCodeOfSignal(signal));
    },
    hungUp,
  });
  let watching: Watching | null = null;
  let source: OpenedSource | null = null;
  let exitCode: ExitCode;
  try {
    if (settings.keepAlive !== undefined) {
      logger.info('--keep-alive (KEEP_ALIVE) does nothing any more; the next version will refuse it');
    }
    if (settings.reset) await confirmReset(settings, described?.table ?? tableOf(name));
    const snapshot = () => watched.snapshot();
    watching = await startWatching({ settings, logger, snapshot, display });
    source = await openSource(settings, asDemo, logger, described);
    const database = readDatabaseUrl(source.databaseUrl).described;
    logger.info({ source: source.name, api: source.address, database }, 'contacting the API and the database');
    if (described !== null) logger.info(described.card, 'what a run of this source promises');
    const { observe } = watching;
    const onSecret = (secret: string) => {
      logging.addSecret(secret);
    };
    const job = new IngestionJob({ settings, source, logger, secrets, observe, onSecret });
    const report = await watched.run(job);
    exitCode = report.outcome === 'complete' ? EXIT_CODES.complete : exitCodeOfSignal(watched.stoppedBy ?? 'SIGTERM');
    watched.end(exitCode, report.outcome);
    watching.endProgress();
    logReport(logger, report, watched.stoppedBy, exitCode);
  } catch (error) {
    exitCode = exitCodeOf(error);
    watched.end(exitCode, describeError(error));
    watching?.endProgress();
    logEnd(logger, error);
  }
  stopListening();
  const code = (await watching?.close(exitCode, () => nextStopSignal(hungUp))) ?? exitCode;
  await source?.close().catch((error: unknown) => {
    logger.warn({ err: error }, 'what was started for the job could not be stopped');
  });
  return code;
}

/** The job as signals and watchers see it, also before it exists and after its end. */
class WatchedJob {
  readonly #startedAtMs = Date.now();
  readonly #card: JobSnapshot['card'];
  #job: IngestionJob | null = null;
  #ended: JobSnapshot['ended'] = null;
  stoppedBy: StopSignal | null = null;

  constructor(card: JobSnapshot['card']) {
    this.#card = card;
  }

  stop(signal: StopSignal): void {
    this.stoppedBy = signal;
    this.#job?.stop();
  }

  run(job: IngestionJob): Promise<JobReport> {
    this.#job = job;
    // A signal may have come while the database was starting.
    if (this.stoppedBy !== null) job.stop();
    return job.run();
  }

  end(exitCode: ExitCode, reason: string): void {
    this.#ended = { exitCode, reason, atMs: Date.now() };
  }

  snapshot(): JobSnapshot {
    const snapshot = { ...(this.#job?.snapshot() ?? snapshotBeforeJob(this.#startedAtMs)), card: this.#card };
    // What has ended waits for nothing.
    return this.#ended === null ? snapshot : { ...snapshot, phase: 'ended', waiting: null, ended: this.#ended };
  }
}

function logReport(logger: Logger, report: JobReport, signal: StopSignal | null, exitCode: ExitCode): void {
  const { requests, seconds } = report;
  const { served: events, inserted, updated, duplicates, rejected, repaired, pages } = report.counts;
  const fields = {
    events,
    inserted,
    updated,
    duplicates,
    rejected,
    repaired,
    pages,
    requests,
    seconds: Number(seconds.toFixed(3)),
    events_per_second: Math.round(report.fetchedEvents / Math.max(seconds, 0.001)),
  };
  if (report.outcome === 'stopped') {
    logger.warn({ ...fields, signal, exit_code: exitCode }, 'ingestion stopped; start again to go on');
    return;
  }
  const proven = { ...fields, proof: report.proof?.kind ?? 'none', proof_text: report.proof?.sentence ?? 'not proven' };
  // Events without a row: somebody should look at them.
  if (rejected > 0) logger.warn(proven, 'ingestion complete');
  else logger.info(proven, 'ingestion complete');
}
