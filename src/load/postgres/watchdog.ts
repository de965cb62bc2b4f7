/** A time limit for what a connection does, because a dead connection can keep a promise waiting for ever. */
import { NoProgressError } from './database-errors.ts';

/** Rejects with NoProgressError when `work`, a few short statements, takes too long: throw the connection away then. */
export async function withinWatchdog<T>(what: string, watchdogMs: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const watchdog = setTimeout(() => {
      reject(new NoProgressError(what, watchdogMs));
    }, watchdogMs);
    work.then(resolve, reject).finally(() => {
      clearTimeout(watchdog);
    });
  });
}
