/** What a file in `contenders/` exports as `contender`: one way to get the events into `ingested_events`. */
import type { Source } from './measure/source.ts';

export interface ContenderInput {
  readonly databaseUrl: string;
  readonly source: Source;
  /** Batches of the same data set, encoded beforehand. */
  readonly batchFile: string;
  /** For local files; empty. */
  readonly folder: string;
  readonly events: number;
}

/** One measurement. Seconds, wall unless it says CPU. */
export interface Measurement {
  /** From the first request, or the first row, to the end of the process: process start-up left out. */
  readonly seconds: number;
  /** From the start of the process to the first request; null when there is none. */
  readonly startSeconds: number | null;
  /** Wall seconds by stage, one after the other. */
  readonly stages: Readonly<Record<string, number>>;
  /** Seconds of stages that overlap each other, summed over everything at once; where the contender tells. */
  readonly busy: Readonly<Record<string, number>>;
  readonly cpuSeconds: { readonly user: number; readonly system: number };
  readonly peakMemoryMb: number;
  readonly eventLoopDelayMs: { readonly p50: number; readonly p99: number; readonly max: number } | null;
  readonly requests: number;
}

export interface Contender {
  readonly name: string;
  readonly what: string;
  /** Order in the table; the floor is first. */
  readonly place: number;
  /** Measured in every round, or once. */
  readonly everyRound: boolean;
  readonly run: (input: ContenderInput) => Promise<Measurement>;
}
