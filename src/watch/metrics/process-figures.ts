/**
 * What this process took of the machine, for a debug line at its end: benchmarks read it. A histogram with a timer each
 * millisecond is not free, so nothing is measured unless somebody asks for debug lines.
 */
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { JobObserver } from '../../core/job-snapshot.ts';

const RESOLUTION_MS = 1;

export interface ProcessFigures {
  readonly cpu_user_seconds: number;
  readonly cpu_system_seconds: number;
  readonly peak_memory_mb: number;
  /** How much later than asked the main thread's timers fired, since the start of the measurement. */
  readonly event_loop_delay_ms: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Summed over everything at once: more than the wall clock where work overlaps. */
  readonly busy_seconds: Readonly<Record<'request' | 'encode' | 'copy' | 'merge', number>>;
}

export class ProcessMeter {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #busy = { request: 0, encode: 0, copy: 0, merge: 0 };

  constructor() {
    this.#delay.enable();
  }

  /** Adds up what stages tell, and passes it on. */
  observing(inner: JobObserver): JobObserver {
    return {
      ...inner,
      pageRequest: (seconds, endpoint, status) => {
        this.#busy.request += seconds;
        inner.pageRequest?.(seconds, endpoint, status);
      },
      encode: (seconds) => {
        this.#busy.encode += seconds;
        inner.encode?.(seconds);
      },
      copy: (seconds) => {
        this.#busy.copy += seconds;
        inner.copy?.(seconds);
      },
      merge: (seconds, isInitialMerge) => {
        this.#busy.merge += seconds;
        inner.merge?.(seconds, isInitialMerge);
      },
    };
  }

  read(): ProcessFigures {
    const { user, system } = process.cpuUsage();
    // The histogram holds intervals between two firings; what is above the interval asked for is the delay.
    const delay = (nanoseconds: number) => Math.max(0, rounded(nanoseconds / 1e6 - RESOLUTION_MS));
    return {
      cpu_user_seconds: rounded(user / 1e6),
      cpu_system_seconds: rounded(system / 1e6),
      peak_memory_mb: rounded(peakMemoryBytes() / 2 ** 20),
      event_loop_delay_ms: {
        p50: delay(this.#delay.percentile(50)),
        p99: delay(this.#delay.percentile(99)),
        max: delay(this.#delay.max),
      },
      busy_seconds: {
        request: rounded(this.#busy.request),
        encode: rounded(this.#busy.encode),
        copy: rounded(this.#busy.copy),
        merge: rounded(this.#busy.merge),
      },
    };
  }

  stop(): void {
    this.#delay.disable();
  }
}

/** Linux counts `maxRSS` on from the program that started this one; VmHWM is this program's alone. */
function peakMemoryBytes(): number {
  try {
    const kib = /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (kib !== undefined) return Number(kib) * 1024;
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS * 1024;
}

function rounded(value: number): number {
  return Number(value.toFixed(3));
}
