/** What a file in `suites/` exports as `suite`. Suites are found by glob: to add one, add a file. */
import type { SuiteOutcome } from './results/result.ts';

export interface BenchOptions {
  readonly events: number;
  readonly rounds: number;
  /** PostgreSQL set up as the embedded one is, instead of as it comes. */
  readonly tuned: boolean;
  readonly quick: boolean;
  /** Names of the pipeline suite's contenders; undefined means all. The floor and this project are always measured. */
  readonly contenders?: readonly string[];
}

export interface BenchContext {
  readonly options: BenchOptions;
  /** Progress, to stderr. */
  readonly say: (line: string) => void;
  /** A folder of this run, which is removed at its end. */
  readonly folder: string;
}

export interface Suite {
  readonly name: string;
  readonly title: string;
  /** Part of `npm run bench` without `--suite`. */
  readonly byDefault: boolean;
  /** The `--events` for which its promises are made: with others they are shown without a verdict. Left out: they hold at every size. */
  readonly promisedAt?: number;
  readonly run: (context: BenchContext) => Promise<SuiteOutcome>;
}
