/** What a suite returns: tables, charts and checks as data, so that terminal, JSON and report show the same. */

export type Cell = string | number | null;

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  /** What a reader must know to read the table correctly. */
  readonly note?: string;
}

export interface BarPart {
  readonly name: string;
  readonly value: number;
}

/** Horizontal bars; each has one or more parts. */
export interface BarChart {
  readonly title: string;
  readonly unit: string;
  readonly bars: readonly { readonly label: string; readonly parts: readonly BarPart[] }[];
}

/** A promise of the project, and the measured value. */
export interface Check {
  readonly what: string;
  readonly target: string;
  readonly measured: string;
  /** `null`: not judged, because the promise is made for another size. */
  readonly holds: boolean | null;
}

/** A promise is made for a size: elsewhere what a run costs once, or does not, weighs differently. */
export function withoutVerdict(check: Check, promisedAt: number): Check {
  return { ...check, target: `${check.target} at ${promisedAt} events`, holds: null };
}

export function verdictOf({ holds }: Check): 'holds' | 'falls short' | 'not judged' {
  return holds === null ? 'not judged' : holds ? 'holds' : 'falls short';
}

export interface SuiteResult {
  readonly suite: string;
  readonly title: string;
  readonly startedAt: string;
  readonly seconds: number;
  /** Load of the machine at the start: it marks figures that were taken on a busy machine. */
  readonly loadBefore: number;
  readonly tables: readonly Table[];
  readonly charts: readonly BarChart[];
  readonly checks: readonly Check[];
  /** Everything measured, before any median. */
  readonly raw: unknown;
}

export type SuiteOutcome = Pick<SuiteResult, 'tables' | 'charts' | 'checks' | 'raw'>;
