/**
 * Every error the job can end with, and the one place that maps errors to exit codes.
 *
 * Decisions are made by class, `code` or SQLSTATE, never by message text. An error that nobody classified is terminal.
 * A message is for the person who reads it at night: what was being done, to what, what came back, what to do.
 */

/** Documented in the README; `npm start` ends with one of these, and 0 means complete and checked. */
export const EXIT_CODES = {
  complete: 0,
  unexpected: 1,
  configuration: 2,
  keyRefused: 3,
  gaveUp: 4,
  countsDisagree: 5,
  targetBusy: 6,
  unfinished: 7,
  hungUp: 129,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT_CODES)[keyof typeof EXIT_CODES];

/**
 * What can mend an ending, and so what `--follow` does about it: it waits for `time`, shows what a later `proof` may take back, and ends
 * with what only a `person` can mend.
 */
export type MendedBy = 'time' | 'proof' | 'person';

/** Where the error happened, as far as known. Its members become fields of the log line. */
export interface ErrorLocation {
  readonly windowId?: number;
  readonly page?: number;
  readonly path?: string;
  readonly cursorAgeMs?: number;
  readonly connection?: string;
  readonly status?: number;
  readonly requestId?: string;
  readonly attempts?: number;
}

export interface JobErrorOptions {
  readonly cause?: unknown;
  readonly location?: ErrorLocation;
}

/** Base of every error that the job knows. */
export abstract class JobError extends Error {
  abstract readonly code: string;
  abstract readonly exitCode: ExitCode;
  abstract readonly mendedBy: MendedBy;
  readonly location: ErrorLocation;

  constructor(message: string, { cause, location }: JobErrorOptions = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.location = location ?? {};
  }
}

/** Bad flag, variable, target or source: nothing was changed. All problems are named at once. */
export class ConfigurationError extends JobError {
  readonly code = 'CONFIGURATION';
  readonly exitCode = EXIT_CODES.configuration;
  readonly mendedBy: MendedBy = 'person';
}

/** The API or the database was not reached: its address may be wrong, or it is away for now. */
export class UnreachableError extends ConfigurationError {
  override readonly mendedBy = 'time';
}

/** A list that is read by the times of its records is not in their order. */
export class NotInOrderError extends ConfigurationError {}

/** The API refused the key (or, with `--endpoint stream`, stream access). */
export class KeyRefusedError extends JobError {
  readonly code = 'KEY_REFUSED';
  readonly exitCode = EXIT_CODES.keyRefused;
  readonly mendedBy = 'person';
}

/** The job stopped trying. Its state is intact, and the next start goes on. */
export class GaveUpError extends JobError {
  readonly code = 'GAVE_UP';
  readonly exitCode = EXIT_CODES.gaveUp;
  readonly mendedBy: MendedBy = 'time';
}

/** The job stopped trying, and trying again would only fail again: the disk is full, or a limit of the settings is passed. */
export class StuckError extends GaveUpError {
  override readonly mendedBy = 'person';
}

/** The job finished, but the target does not hold what the source counted. */
export class CountsDisagreeError extends JobError {
  readonly code = 'COUNTS_DISAGREE';
  readonly exitCode = EXIT_CODES.countsDisagree;
  readonly mendedBy = 'proof';
}

/** The job finished, but more events were rejected than `--max-rejected` allows. */
export class RejectedTooManyError extends JobError {
  readonly code = 'REJECTED_TOO_MANY';
  readonly exitCode = EXIT_CODES.countsDisagree;
  readonly mendedBy = 'proof';
}

/** Another process owns the target: it was there at the start, or its generation is newer than ours. */
export class TargetBusyError extends JobError {
  readonly code = 'TARGET_BUSY';
  readonly exitCode = EXIT_CODES.targetBusy;
  readonly mendedBy = 'person';
}

/** What was asked for was written from a run that is not finished or not proven. */
export class UnfinishedError extends JobError {
  readonly code = 'UNFINISHED';
  readonly exitCode = EXIT_CODES.unfinished;
  readonly mendedBy = 'person';
}

/** The rows of a page do not fit the columns of its staging table: somebody has changed tables while the job ran. */
export class StagedTypesError extends JobError {
  readonly code = 'STAGED_TYPES';
  readonly exitCode = EXIT_CODES.configuration;
  readonly mendedBy = 'person';
}

/** A worker thread died while it had a page. The bytes of the page are gone; it must be requested again. */
export class WorkerDiedError extends JobError {
  readonly code = 'WORKER_DIED';
  readonly exitCode = EXIT_CODES.unexpected;
  readonly mendedBy = 'person';
}

/** A database crash emptied staging: what memory holds is wrong, and the walks go on from `ingestion.state`. */
export class StagingLostError extends JobError {
  readonly code = 'STAGING_LOST';
  readonly exitCode = EXIT_CODES.gaveUp;
  readonly mendedBy = 'time';
}

/** The exit code of an ending. Anything that is not a JobError is unexpected. */
export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof JobError ? error.exitCode : EXIT_CODES.unexpected;
}

/** Causes can run in a circle. */
const MAX_CAUSES = 5;

/** The messages of an error and of its causes: undici and node wrap the real reason in `cause`, AggregateError in `errors`. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const parts: string[] = [];
  let current: unknown = error;
  for (let depth = 0; current instanceof Error && depth < MAX_CAUSES; depth += 1) {
    const code = 'code' in current && typeof current.code === 'string' ? current.code : '';
    const message = current.message || current.name;
    // Stands inside a sentence of ours, which has a full stop of its own.
    const text = current instanceof JobError ? message : message.replace(/\.+$/, '');
    const part = code && !text.includes(code) ? `${text} (${code})` : text;
    if (!parts.includes(part)) parts.push(part);
    current = current instanceof AggregateError ? (current.errors[0] as unknown) : current.cause;
  }
  return parts.join(': ');
}
