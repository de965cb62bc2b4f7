/**
 * How late the main thread's timers fire: what pacing, and everybody who waits for a response, feels of a busy loop.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 1;
/** Statistics cover at least this long: two scrapers in a row must not each get half an answer. */
const WINDOW_MS = 10_000;

export interface EventLoopDelay {
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface EventLoopMonitor {
  /** Seconds, of the last ten to twenty seconds when read at least that often, else since the last reading. */
  read(): EventLoopDelay;
  stop(): void;
}

export function startEventLoopMonitor(now: () => number = () => performance.now()): EventLoopMonitor {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  let resetAtMs = now();
  let before: EventLoopDelay | null = null;
  // The histogram holds intervals between two firings; what is above the interval asked for is the delay.
  const seconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS) / 1000;
  const current = (): EventLoopDelay =>
    histogram.count === 0
      ? { mean: 0, p50: 0, p99: 0, max: 0 }
      : {
          mean: seconds(histogram.mean),
          p50: seconds(histogram.percentile(50)),
          p99: seconds(histogram.percentile(99)),
          max: seconds(histogram.max),
        };
  return {
    read() {
      const latest = current();
      const answer: EventLoopDelay = before === null ? latest : { ...latest, max: Math.max(latest.max, before.max) };
      if (now() - resetAtMs >= WINDOW_MS) {
        before = latest;
        resetAtMs = now();
        histogram.reset();
      }
      return answer;
    },
    stop() {
      histogram.disable();
    },
  };
}
