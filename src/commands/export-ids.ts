/** `npm run export-ids`: all ids into a file, one a line, as the API's submissions take them. */
import { randomBytes } from 'node:crypto';
import { open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { isUnlimited } from '../app/run/proof.ts';
import { exitCodeOfSignal, listenForSignals, type StopSignal } from '../app/run/shutdown.ts';
import { commandLine, readSettings, type Environment } from '../core/config.ts';
import {
  ConfigurationError,
  EXIT_CODES,
  UnfinishedError,
  describeError,
  exitCodeOf,
  type ExitCode,
} from '../core/errors.ts';
import { isoText } from '../core/iso-text.ts';
import type { Logger } from '../core/logging.ts';
import { readTargetRows } from '../load/state/target-rows.ts';
import { isProven } from '../core/state.ts';
import { exportIds as writeIds, type ExportedIds } from '../load/export-ids.ts';
import type { Database } from '../load/postgres/database.ts';
import { findSource, tableOf, targetNamed, type Source, type Target } from '../load/schema/source.ts';
import { readBaseRun, readNewestRun } from '../load/state/run-reader.ts';
import { proofText } from '../watch/page/texts.js';
import { namedSource } from '../source/named-source.ts';
import { openDatabaseToRead } from './database-to-read.ts';
import { logEnd, logToStderr } from './end-of-command.ts';

const DEFAULT_FILE = 'event_ids.txt';
/** Fewer and larger writes than a stream's default of 64 KiB. */
const WRITE_BUFFER_BYTES = 1024 * 1024;

/** Returns the exit code; stderr says what happened. Nothing is written to stdout. */
export async function exportIds(argv: readonly string[], environment: Environment): Promise<ExitCode> {
  const command = commandLine('npm run export-ids --', 'Writes all ids of a source to a file, one a line.', [
    'database',
    'output',
  ]);
  command.option('--output <file>', 'written under another name beside it, and renamed when it is whole', DEFAULT_FILE);
  command.option('--partial', 'end with 0 also when the run is not finished, or not proven complete');
  const asked = readSettings(command, argv, environment);
  const settings = { ...asked, source: namedSource(asked.source).name };
  const { output, partial } = command.opts<{ output: string; partial?: true }>();
  const logger = logToStderr(settings);
  const aborted = new AbortController();
  const stopped: { by: StopSignal | null } = { by: null };
  const stopListening = listenForSignals({
    drain: (signal) => {
      stopped.by = signal;
      aborted.abort();
    },
    force: (signal) => process.exit(exitCodeOfSignal(signal)),
    hungUp: () => undefined,
  });
  try {
    const target = await openDatabaseToRead({ settings, logger, purpose: 'export-ids' });
    try {
      const { db } = target;
      const source = await findSource(db, settings.source);
      const before = await whyUnfinished(db, source);
      // A job at work adds to both: what it has left by now must be in the file.
      const left = source === null ? null : (await readTargetRows(db, source)).remembered;
      const table = source?.target ?? targetNamed(tableOf(settings.source), db);
      const { ids, escaped } = await exportToFile(db, table, output, aborted.signal);
      if (escaped > 0) {
        logger.warn(
          { ids: escaped },
          'some ids hold a line break, or a backslash before n or r: they are written with \\n, \\r and \\\\, an id a line',
        );
      }
      process.stderr.write(`${ids} ids in ${output}\n`);
      // Looked at before and after: the ids are all of them only when the run was finished all the time.
      const why = before ?? (await whyUnfinished(db, source)) ?? whyFewer(left, ids);
      sayUnfinished(why, output, partial === true, logger);
      await sayLimit(db, source, logger);
    } finally {
      await target.close();
    }
    return EXIT_CODES.complete;
  } catch (error) {
    if (stopped.by !== null) {
      logger.warn({ signal: stopped.by }, `stopped; ${output} is as it was`);
      return exitCodeOfSignal(stopped.by);
    }
    logEnd(logger, error);
    return exitCodeOf(error);
  } finally {
    stopListening();
  }
}

/** @throws UnfinishedError unless a part is wanted */
function sayUnfinished(why: string | null, output: string, isPartWanted: boolean, logger: Logger): void {
  if (why === null) return;
  if (!isPartWanted) {
    throw new UnfinishedError(
      `The ids in ${output} may not be all: ${why}. npm start completes it; then export again. --partial takes them as they are.`,
    );
  }
  logger.warn({ why }, 'the ids may not be all');
}

/** A complete run of a part is finished; but only a run without limits brings all ids. */
async function sayLimit(db: Database, source: Source | null, logger: Logger): Promise<void> {
  const run = source === null ? null : await readNewestRun(db, source);
  if (source === null || run === null || isUnlimited(run)) return;
  if ((await readBaseRun(db, source, run.source, 'proof')) !== null) return;
  logger.warn(
    { run: run.runId, since: isoText(run.sinceMs), until: isoText(run.untilMs) },
    'the ids are those of a run with --since or --until alone; npm start without them takes all',
  );
}

/** `null` when the newest run is complete and proven. */
async function whyUnfinished(db: Database, source: Source | null): Promise<string | null> {
  const run = source === null ? null : await readNewestRun(db, source);
  if (run === null) return 'no run is recorded in this database';
  if (run.status !== 'complete') return `run ${run.runId} is not finished`;
  if (isProven(run.proof)) return null;
  // Version 1.0.0 stored no proof, and what it checked leaves room for losses.
  if (run.proof === null) return `run ${run.runId} was completed without a proof that nothing is missing`;
  return `run ${run.runId} is ${proofText(run.proof)}`;
}

/** `null` when there are as many ids as rows that jobs had left. */
function whyFewer(left: number | null, ids: number): string | null {
  if (left === null || ids >= left) return null;
  return `${left - ids} of the ${left} rows that the job left in the table are gone`;
}

/** The file appears whole or not at all, also when the machine crashes right after. */
async function exportToFile(db: Database, target: Target, output: string, signal: AbortSignal): Promise<ExportedIds> {
  const path = resolve(output);
  const existing = await stat(path).catch(() => null);
  // A rename would replace a device, and onto a folder it would fail after all the work.
  if (existing !== null && !existing.isFile())
    throw new ConfigurationError(`--output: ${output} is not a regular file`);
  const unfinished = `${path}.${randomBytes(4).toString('hex')}.part`;
  const file = await openForWriting(unfinished, output);
  try {
    // `flush`: the file is on the disk before it is closed. The stream closes it, however it ends.
    const stream = file.createWriteStream({ flush: true, highWaterMark: WRITE_BUFFER_BYTES });
    const exported = await writeIds(db, target, stream, signal);
    await rename(unfinished, path);
    await syncFolder(dirname(path));
    return exported;
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}

async function openForWriting(path: string, output: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx');
  } catch (cause) {
    throw new ConfigurationError(`--output: ${output} cannot be written: ${describeError(cause)}`, { cause });
  }
}

/** A rename is only as safe as its folder: that must be on the disk, too. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
