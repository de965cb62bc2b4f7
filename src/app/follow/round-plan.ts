/** What a round of --follow does, and how long it waits until the next one. Pure: moments are ms of a clock that never goes back. */
import type { RoundKind } from '../../core/state.ts';
import type { Look } from './newest-page.ts';

/** The lookback is walked again once in this part of itself, and no more often than a cache lives. */
const LOOKBACK_PARTS = 4;
const SHORTEST_LOOKBACK_PAUSE_MS = 60_000;
/** While the API is away it is asked no more often than this. */
const LONGEST_PAUSE_MS = 60_000;
/** A round that has failed all the same has cost as many requests as would have been sent in this time, at most. */
const MOST_PAID_BACK_MS = 600_000;

/** Failures in a row after which a request is given time to find out whether only stream access fails. */
const PATIENT_FIRST = 5;
/** Failures from there on after which the next request is given that time. */
const PATIENT_EVERY = 60;

/** `proof`: a run that is held against the API's count. `nothing`: all that there is was taken. */
export type Task = 'proof' | RoundKind | 'nothing';

export interface RoundPlanOptions {
  readonly intervalMs: number;
  readonly lookbackMs: number;
  readonly proveEveryMs: number;
}

export class RoundPlan {
  readonly #options: RoundPlanOptions;
  /** When the next proof is due. */
  #proofDueMs = 0;
  #lookbackDueMs = 0;
  /** The API's count at the last look whose events were taken. */
  #total: number | null = null;
  /** Something was taken, or the API counts more, since the lookback was walked last. */
  #hasMoved = true;
  /** Growth that no new event explains has led to late events so far, or was not looked into yet. */
  #isGrowthTold = true;
  /** The lookback is walked because of such growth. */
  #isForGrowth = false;
  #failures = 0;

  constructor(options: RoundPlanOptions) {
    this.#options = options;
  }

  /** @param agoMs when everything was last held against the API's count; Infinity: never */
  proofWas(agoMs: number, nowMs: number): void {
    this.#proofDueMs = nowMs + this.#options.proveEveryMs - agoMs;
  }

  isProofDue(nowMs: number): boolean {
    return nowMs >= this.#proofDueMs;
  }

  taskAfter({ fresh, isFull, total }: Pick<Look, 'fresh' | 'isFull' | 'total'>, nowMs: number): Task {
    if (this.isProofDue(nowMs)) return 'proof';
    const grown = total === null || this.#total === null ? 0 : total - this.#total;
    const isGrowthUnexplained = !isFull && grown > fresh;
    this.#isForGrowth = isGrowthUnexplained && this.#isGrowthTold && this.#options.lookbackMs > 0;
    // Where nothing has happened, there is nothing late either: the count says so.
    const hasStoodStill = fresh === 0 && !this.#hasMoved && total !== null && grown === 0;
    const isDue = this.#options.lookbackMs > 0 && nowMs >= this.#lookbackDueMs && !hasStoodStill;
    if (this.#isForGrowth || isDue) return 'lookback';
    return fresh > 0 ? 'new-events' : 'nothing';
  }

  /** @param tookSomething rows, or events without one */
  noteDone(task: Task, total: number | null, tookSomething: boolean, nowMs: number): void {
    this.#failures = 0;
    // Growth that is not looked into at once still is when the lookback is due.
    this.#hasMoved ||= tookSomething || (total !== null && this.#total !== null && total > this.#total);
    this.#total = total ?? this.#total;
    if (task === 'nothing') return;
    if (task === 'new-events') return;
    if (task === 'proof') this.proofWas(0, nowMs);
    if (task === 'proof') this.#isGrowthTold = true;
    else if (this.#isForGrowth) this.#isGrowthTold = tookSomething;
    this.#hasMoved = false;
    const pauseMs = Math.max(this.#options.lookbackMs / LOOKBACK_PARTS, SHORTEST_LOOKBACK_PAUSE_MS);
    this.#lookbackDueMs = nowMs + pauseMs;
  }

  /** In a row. */
  get failures(): number {
    return this.#failures;
  }

  /** @param requests that brought no page. @returns how long to wait */
  noteFailed(requests: number): number {
    const pauseMs = pauseAfter(this.#failures, this.#options.intervalMs);
    this.#failures += 1;
    const paidBackMs = requests > 1 ? Math.min(requests * LONGEST_PAUSE_MS, MOST_PAID_BACK_MS) : 0;
    return Math.max(pauseMs, paidBackMs);
  }
}

/** How long to wait after a failure, ms. @param failures before it, in a row */
export function pauseAfter(failures: number, intervalMs: number): number {
  return Math.min(intervalMs * 2 ** Math.min(failures, 10), LONGEST_PAUSE_MS);
}

/** Whether the client may take its time to find out if it is only stream access that fails. @param failures before, in a row */
export function isPatient(failures: number): boolean {
  return failures >= PATIENT_FIRST && (failures - PATIENT_FIRST) % PATIENT_EVERY === 0;
}
