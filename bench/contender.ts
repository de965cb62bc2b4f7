/** What a file in `contenders/` exports as `contender`: one way to get the events into `ingested_events`. */
import type { Source } from './measure/source.ts';

export interface ContenderInput {
  readonly databaseUrl: string;
  readonly source: Source;
  /** A file with batches of the same data set, encoded beforehand. */
  readonly batchFile: string;
  /** An empty folder for local files. */
  readonly folder: string;
  readonly events: number;
}

/** One measurement. Seconds are wall seconds unless they are CPU seconds by name. */
export interface Measurement {
  /** From the first request, or the first row, to the end of the process: without process start-up. */
  readonly seconds: number;
  /** From the start of the process to the first request; null when there is no request. */
  readonly startSeconds: number | null;
  /** Wall seconds of stages that follow each other. */
  readonly stages: Readonly<Record<string, number>>;
  /** Seconds of stages that overlap, summed over everything that runs at once; empty where the contender does not say. */
  readonly busy: Readonly<Record<string, number>>;
  readonly cpuSeconds: { readonly user: number; readonly system: number };
  readonly peakMemoryMb: number;
  readonly eventLoopDelayMs: { readonly p50: number; readonly p99: number; readonly max: number } | null;
  readonly requests: number;
}

export interface Contender {
  readonly name: string;
  readonly what: string;
  /** Order in the table; the floor comes first. */
  readonly place: number;
  /** Whether it is measured in every round, or once. */
  readonly everyRound: boolean;
  readonly run: (input: ContenderInput) => Promise<Measurement>;
}
