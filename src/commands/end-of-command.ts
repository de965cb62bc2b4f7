/** The last line of a command that did not go well: why it ended, and what to do. One clear line, no stack trace. */
import { JobError, describeError } from '../core/errors.ts';
import type { Logger } from '../core/logging.ts';

export function logEnd(logger: Logger, error: unknown): void {
  if (error instanceof JobError) {
    const cause = error.cause === undefined ? {} : { cause: describeError(error.cause) };
    logger.error({ code: error.code, exit_code: error.exitCode, ...error.location, ...cause }, error.message);
    return;
  }
  // Nobody foresaw this one: the stack is for whoever mends it.
  logger.fatal(
    { err: error, exit_code: 1 },
    `unexpected: ${describeError(error)}. What was merged is safe: start again to go on, and report this line.`,
  );
}
