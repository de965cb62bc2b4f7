/** What this process took of the machine, for a debug line at its end: benchmarks read it. */
import { readFileSync } from 'node:fs';
import type { EventLoopDelay } from './event-loop-delay.ts';
import type { RecentWork } from './recent-work.ts';

/** Fields of the log line. @param delay of the main thread, since the start */
export function processFigures(work: RecentWork, delay: EventLoopDelay) {
  const { user, system } = process.cpuUsage();
  return {
    cpu_user_seconds: rounded(user / 1e6),
    cpu_system_seconds: rounded(system / 1e6),
    peak_memory_mb: rounded(peakMemoryBytes() / 2 ** 20),
    event_loop_delay_ms: {
      p50: rounded(delay.p50 * 1000),
      p99: rounded(delay.p99 * 1000),
      max: rounded(delay.max * 1000),
    },
    busy_seconds: {
      request: rounded(work.totalSeconds('pageRequest')),
      encode: rounded(work.totalSeconds('encode')),
      copy: rounded(work.totalSeconds('copy')),
      merge: rounded(work.totalSeconds('merge')),
    },
  };
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
