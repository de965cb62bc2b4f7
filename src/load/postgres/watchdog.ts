/** A time limit for what a connection does, because a dead connection can keep a promise waiting for ever. */
import { wasStopped } from '../../core/running-time.ts';
import { NoProgressError } from './database-errors.ts';

/** How long nothing may happen, ms, and whether there is a reason for it: a lock of somebody else, which has a bound of its own. */
export interface Patience {
  readonly ms: number;
  readonly isExcused: () => boolean;
}

/** Calls `onSilence` after that time, unless there is a reason: then it is asked again after as long. `refresh` begins anew. */
export function startWatchdog({ ms, isExcused }: Patience, onSilence: () => void): NodeJS.Timeout {
  const watchdog = setTimeout(() => {
    if (isExcused() || wasStopped(ms)) watchdog.refresh();
    else onSilence();
  }, ms);
  return watchdog;
}

/** Rejects with NoProgressError when `work`, a few short statements, takes too long: throw the connection away then. */
export async function withinWatchdog<T>(
  what: string,
  watchdogMs: number,
  work: Promise<T>,
  isExcused = (): boolean => false,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const watchdog = startWatchdog({ ms: watchdogMs, isExcused }, () => {
      reject(new NoProgressError(what, watchdogMs));
    });
    work.then(resolve, reject).finally(() => {
      clearTimeout(watchdog);
    });
  });
}
