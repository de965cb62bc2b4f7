/** What commands have in common in their log: that it goes to stderr, and the last line of one that did not go well. */
import { secretsOf, type Settings } from '../core/config.ts';
import { JobError, describeError } from '../core/errors.ts';
import { createLogging, type Logger } from '../core/logging.ts';

/** For commands whose stdout belongs to their answer. @param secrets those that no setting holds */
export function logToStderr(settings: Settings, level = settings.logLevel, secrets: readonly string[] = []): Logger {
  return createLogging({
    format: settings.logFormat,
    level,
    secrets: [...secretsOf(settings), ...secrets],
    write: (line) => process.stderr.write(line),
  }).logger;
}

/** The last line: why the command ended, and what to do. One clear line, no stack trace. */
export function logEnd(logger: Logger, error: unknown): void {
  if (error instanceof JobError) {
    const cause = error.cause === undefined ? {} : { cause: describeError(error.cause) };
    logger.error({ code: error.code, exit_code: error.exitCode, ...error.location, ...cause }, error.message);
    return;
  }
  // Nobody foresaw this error: the stack is for whoever fixes it.
  logger.fatal(
    { err: error, exit_code: 1 },
    `unexpected: ${describeError(error)}. What was merged is safe: start again to go on, and report this line.`,
  );
}
