/**
 * How long this process has been running. Stopped by a signal, in a frozen container or on a machine that sleeps, it must not take
 * its own absence for the silence of others. Waits that others ask for, and the lives of tokens and cursors, go by other clocks.
 */

const LOOK_EVERY_MS = 500;
/** Longer between two looks: the process was not running. */
const LONGEST_GAP_MS = 2_000;

let looking: NodeJS.Timeout | null = null;
let lookedMs = performance.now();
let absentMs = 0;
let cameBackMs = -Infinity;

/** ms of a clock that never goes back, and stands while the process does. */
export function runningMs(): number {
  const nowMs = performance.now();
  // Nobody has looked before the first question.
  if (looking !== null && nowMs - lookedMs > LONGEST_GAP_MS) {
    absentMs += nowMs - lookedMs;
    cameBackMs = nowMs;
  }
  looking ??= setInterval(runningMs, LOOK_EVERY_MS).unref();
  lookedMs = nowMs;
  return nowMs - absentMs;
}

/** Whether it was stopped within the last `ms`. */
export function wasStopped(ms: number): boolean {
  runningMs();
  return lookedMs - cameBackMs < ms;
}
