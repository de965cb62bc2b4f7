/** The report that a comparison program writes about itself, as the last line of its stdout. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { JsonLine } from './processes.ts';

export const reportSchema = z.object({
  report: z.literal('program'),
  /** Epoch ms at which its work began, after start-up and preparation. */
  beganAtMs: z.number(),
  stages: z.record(z.string(), z.number()),
  userSeconds: z.number(),
  systemSeconds: z.number(),
  peakMemoryMb: z.number(),
  requests: z.number(),
});

export type ProgramReport = z.output<typeof reportSchema>;

/** @throws Error when there is no report */
export function findReport(lines: readonly JsonLine[]): ProgramReport {
  const found = lines.map((line) => reportSchema.safeParse(line)).find((parsed) => parsed.success);
  if (found === undefined) throw new Error('a program of the benchmark ended without its report');
  return found.data;
}

export async function writeReport(report: Pick<ProgramReport, 'beganAtMs' | 'stages' | 'requests'>): Promise<void> {
  const { user, system } = process.cpuUsage();
  const line: ProgramReport = {
    report: 'program',
    ...report,
    userSeconds: user / 1e6,
    systemSeconds: system / 1e6,
    peakMemoryMb: await peakMemoryMb(),
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Peak memory of this process. */
async function peakMemoryMb(): Promise<number> {
  try {
    const kb = /VmHWM:\s+(\d+)/.exec(await readFile('/proc/self/status', 'utf8'))?.[1];
    if (kb !== undefined) return Number(kb) / 1024;
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS / 1024;
}

/** Times the stages of a program, which follow each other. */
export class StageClock {
  readonly beganAtMs = Date.now();
  readonly stages: Record<string, number> = {};
  #startedMs = performance.now();

  /** Ends the running stage, and begins the next. */
  end(stage: string): void {
    const nowMs = performance.now();
    this.stages[stage] = (this.stages[stage] ?? 0) + (nowMs - this.#startedMs) / 1000;
    this.#startedMs = nowMs;
  }
}
