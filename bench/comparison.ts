/** Runs a comparison program. Its time counts from the start of its first stage to the end of its last. */
import type { Measurement } from './contender.ts';
import { startScript } from './measure/processes.ts';
import { findReport } from './measure/program-report.ts';

export async function runComparison(file: string, args: readonly string[]): Promise<Measurement> {
  const program = startScript(file, args);
  const end = await program.succeeded();
  const report = findReport(end.lines);
  return {
    seconds: Object.values(report.stages).reduce((sum, seconds) => sum + seconds, 0),
    startSeconds: (report.beganAtMs - end.startedAtMs) / 1000,
    stages: report.stages,
    busy: {},
    cpuSeconds: { user: report.userSeconds, system: report.systemSeconds },
    peakMemoryMb: report.peakMemoryMb,
    eventLoopDelayMs: null,
    requests: report.requests,
  };
}
