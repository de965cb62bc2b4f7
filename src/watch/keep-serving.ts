/** `--stay`: the job is over, page, metrics and health go on until somebody stops the process. */
import { EXIT_CODES, type ExitCode } from '../core/errors.ts';
import type { Logger } from '../core/logging.ts';

export interface KeepServingOptions {
  /** Where it is served, for the log line. */
  readonly url: string;
  /** What the job ended with. */
  readonly exitCode: ExitCode;
  readonly logger: Logger;
}

/**
 * Waits for a signal. SIGTERM is how services are stopped, and stopping a server that has nothing left to do is no failure:
 * 0. Ctrl-C is somebody at a terminal: what the job ended with. Take the job's own signal handlers away before.
 */
export async function keepServing({ url, exitCode, logger }: KeepServingOptions): Promise<ExitCode> {
  logger.info({ url, exit_code: exitCode }, 'the job has ended; still serving until stopped');
  // Signal handlers do not keep a process alive, and watchers' timers are not allowed to.
  const alive = setInterval(() => undefined, 2 ** 30);
  const signal = await new Promise<'SIGTERM' | 'SIGINT'>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  clearInterval(alive);
  logger.info({ signal }, 'stopped serving');
  return signal === 'SIGTERM' ? EXIT_CODES.complete : exitCode;
}
