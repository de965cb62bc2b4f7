/** The one clock that --follow waits by: tests put another one in its place, and let a week pass in seconds. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Clock {
  /** Epoch ms: how old events are. It can jump. */
  readonly now: () => number;
  /** ms that never go back: how long waits are. */
  readonly elapsedMs: () => number;
  /** Ends early, without an error, when the signal is aborted. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

export const SYSTEM_CLOCK: Clock = {
  now: () => Date.now(),
  elapsedMs: () => performance.now(),
  wait: async (ms, signal) => {
    await sleep(ms, undefined, { signal }).catch(() => undefined);
  },
};
