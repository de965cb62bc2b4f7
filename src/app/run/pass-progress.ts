/** How far the pass under way has come, by the total that the API said. */
import type { Run } from '../../core/state.ts';
import type { LoadProgress } from '../../load/merge/early-merge.ts';
import { isUnlimited } from './proof.ts';
import type { JobCounters } from './job-counters.ts';

export class PassProgress {
  #total: number | null;
  /** The newest total of the run, of whatever pass. */
  #knownTotal: number | null;
  readonly #counters: Pick<JobCounters, 'fetchedEvents' | 'copiedEvents'>;
  /** Whether it walks all of the data set. */
  #isFull: boolean;
  /** Events fetched by this process that do not count for the pass: before it, or lost; less what earlier starts fetched for it. */
  #fetchedBefore: number;
  /** ms of `performance.now()`. */
  #beganMs = performance.now();

  constructor(counters: Pick<JobCounters, 'fetchedEvents' | 'copiedEvents'>, run: Run) {
    this.#counters = counters;
    this.#total = run.passTotal;
    this.#knownTotal = run.knownTotal ?? run.passTotal;
    this.#isFull = run.pass === 1 && isUnlimited(run) && run.incrementalSinceMs === null;
    this.#fetchedBefore = -run.counts.served;
  }

  /** Events of the data set, as the pass's first response said; `null` when it did not. */
  get total(): number | null {
    return this.#total;
  }

  /** What the pass's first response says of the total; `null` when nothing. */
  noteTotal(total: number | null): void {
    this.#total = total;
    this.#knownTotal = total ?? this.#knownTotal;
  }

  /** The newest total of the run: that of its last pass, if this gave one. */
  get knownTotal(): number | null {
    return this.#knownTotal;
  }

  /** Another pass begins; what the last one said of the total holds until this one's first response. */
  begin(isFull: boolean): void {
    this.#isFull = isFull;
    this.#fetchedBefore = this.#counters.fetchedEvents;
    this.#beganMs = performance.now();
  }

  /** Fetched so far, by this process and by earlier starts. */
  get fetchedOfPass(): number {
    return this.#counters.fetchedEvents - this.#fetchedBefore;
  }

  /** See `isFull`. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** A pass that was broken off goes on. */
  goOn(fetchedOfPass: number, isFull: boolean): void {
    this.#isFull = isFull;
    this.#fetchedBefore = this.#counters.fetchedEvents - fetchedOfPass;
  }

  /** Events that were staged are gone, and will be fetched again. */
  lost(events: number): void {
    this.#fetchedBefore += events;
  }

  /** `null` when nobody knows: only a pass over everything has the data set's size before it. */
  get remainingEvents(): number | null {
    if (this.#total === null || !this.#isFull) return null;
    return Math.max(0, this.#total - this.fetchedOfPass);
  }

  /** `null` when nobody knows what remains. */
  get load(): LoadProgress | null {
    const { remainingEvents } = this;
    if (remainingEvents === null) return null;
    return {
      stagedEvents: this.#counters.copiedEvents,
      remainingEvents,
      fetchedEvents: this.#counters.fetchedEvents - Math.max(0, this.#fetchedBefore),
      seconds: (performance.now() - this.#beganMs) / 1000,
    };
  }
}
