import type { Contender } from '../contender.ts';
import { startScript } from '../measure/processes.ts';
import { findReport } from '../measure/program-report.ts';
import { JOB_CONNECTIONS } from './this-project.ts';

/** It ends with its last stage: leaving the process, with all batches in memory, is not PostgreSQL's work. */
export const contender: Contender = {
  name: 'floor',
  what: 'PostgreSQL alone: batches encoded beforehand, the same COPY connections, the same merge',
  place: 0,
  everyRound: true,
  run: async ({ databaseUrl, batchFile }) => {
    const program = startScript('bench/programs/floor.ts', [databaseUrl, batchFile, String(JOB_CONNECTIONS)]);
    const report = findReport((await program.succeeded()).lines);
    return {
      seconds: Object.values(report.stages).reduce((sum, seconds) => sum + seconds, 0),
      startSeconds: null,
      stages: report.stages,
      busy: {},
      cpuSeconds: { user: report.userSeconds, system: report.systemSeconds },
      peakMemoryMb: report.peakMemoryMb,
      eventLoopDelayMs: null,
      requests: 0,
    };
  },
};
