/** How late the timers of the main thread fire: this is how much a busy event loop delays pacing and every response. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 1;
/** Statistics cover at least this much time: two scrapers in a row must not each get half an answer. */
const WINDOW_MS = 10_000;

export interface EventLoopDelay {
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface EventLoopMonitor {
  /** Seconds; covers the last ten to twenty seconds when read at least that often, else the time since the last reading. */
  read(): EventLoopDelay;
  stop(): void;
}

/** Not free: its histogram has a timer that fires each millisecond. */
export function startEventLoopMonitor(): EventLoopMonitor {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  let resetAtMs = performance.now();
  let before: EventLoopDelay | null = null;
  // The histogram holds intervals between two firings; the delay is what exceeds the requested interval.
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
      if (performance.now() - resetAtMs >= WINDOW_MS) {
        before = latest;
        resetAtMs = performance.now();
        histogram.reset();
      }
      return answer;
    },
    stop() {
      histogram.disable();
    },
  };
}
