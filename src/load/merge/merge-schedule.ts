/**
 * When staging is merged. Two staging tables take turns: new pages go to one while the other is merged.
 *
 *   page accepted ──▶ assigned to the current table ──▶ COPY ──▶ acknowledged
 *   merge: swap the current table, wait for every page assigned to the old one, then one transaction
 *   early merge: the same, the initial merge, begun while the last pages still come; it may take the second table, too
 *
 * Pages of a window are assigned in order, so in a living process a merged table never has a gap.
 */
import type { StagingTable } from '../schema/staging.ts';
import { EarlyMerge } from './early-merge.ts';
import type { StagedPages } from './locked-staging.ts';
import type { LatePages, MergeResult } from './merge.ts';

/** Intervals until the initial merge. It goes without an index, so it is put off. */
const INITIAL_MERGE_INTERVALS = 4;
/** Staging that outgrows this is merged before its time. */
const MAX_STAGED_BYTES = 2 * 2 ** 30;

interface StagingFill {
  assigned: number;
  acknowledged: number;
  stagedBytes: number;
  drained: (() => void) | null;
}

export interface MergeScheduleOptions {
  /** One transaction; `pages` is how many were acknowledged. With `latePages` it may take the other table too. */
  readonly merge: (table: StagingTable, pages: number, latePages?: LatePages) => Promise<MergeResult>;
  readonly merged: (result: MergeResult) => Promise<void>;
  /** A merge that nobody waits for has failed. */
  readonly fail: (error: unknown) => void;
  readonly intervalMs: number;
  readonly isTargetEmpty: boolean;
  readonly maxStagedBytes?: number;
  readonly maxLateMs?: number;
}

/** A page's assignment; exactly one of its two methods is called once. */
export interface Assignment {
  readonly table: StagingTable;
  acknowledge(): void;
  /** The page will not be copied: the run is over, or staging was lost. */
  abandon(): void;
}

export class MergeSchedule {
  readonly #options: MergeScheduleOptions;
  readonly #maxStagedBytes: number;
  readonly #fills: Record<StagingTable, StagingFill> = { a: emptyFill(), b: emptyFill() };
  #current: StagingTable = 'a';
  #merging: Promise<void> | null = null;
  #early: EarlyMerge | null = null;
  #isInitialMerge: boolean;
  #timer: NodeJS.Timeout | null = null;
  /** Of a merge in the background: what it should have merged is not merged. */
  #failure: { readonly error: unknown } | null = null;

  constructor(options: MergeScheduleOptions) {
    this.#options = options;
    this.#maxStagedBytes = options.maxStagedBytes ?? MAX_STAGED_BYTES;
    this.#isInitialMerge = options.isTargetEmpty;
    this.#plan();
  }

  get isMerging(): boolean {
    return this.#merging !== null;
  }

  /**
   * Where a page's rows go. Waits while staging has outgrown its bound and is merged: PostgreSQL is the slower one then, and
   * everything waits for it.
   */
  async assign(bytes: number): Promise<Assignment> {
    for (;;) {
      const isFull = this.#fills[this.#current].stagedBytes > this.#maxStagedBytes;
      if (isFull) this.#early?.giveUpOnLatePages();
      // An early merge that takes late pages locks the other table, too.
      if (!isFull && this.#early?.takesLatePages !== true) break;
      await this.#mergeInBackground();
    }
    const table = this.#current;
    const fill = this.#fills[table];
    fill.assigned += 1;
    fill.stagedBytes += bytes;
    const leave = (): void => {
      fill.assigned -= 1;
      if (fill.assigned === 0) fill.drained?.();
    };
    return {
      table,
      acknowledge: () => {
        fill.acknowledged += 1;
        leave();
      },
      abandon: leave,
    };
  }

  /**
   * Merges everything that is acknowledged by the time it ends; the walks must be over.
   * @throws what the merge throws, and what an earlier one in the background threw: the other table may be empty, and
   *   then nothing else would say that pages are missing
   */
  async finish(): Promise<void> {
    this.#cancel();
    this.#early?.includeLatePages();
    await this.#merging;
    if (this.#failure !== null) throw this.#failure.error;
    await this.#mergeOnce();
  }

  /** Merges in the background what is there, before its time: for when the walks are idle anyway. */
  mergeSoon(): void {
    this.#early?.includeLatePages();
    void this.#mergeInBackground();
  }

  /**
   * Begins the initial merge while the last pages come. {@link mergeSoon} or {@link finish} says that all late pages have
   * their table; without that, the merge gives up on them after four seconds. Does nothing after the initial merge.
   */
  beginEarlyMerge(): void {
    if (!this.#isInitialMerge || this.#merging !== null) return;
    this.#early = new EarlyMerge();
    void this.#mergeInBackground();
  }

  /** No further merge begins on time. Waits for the one under way: its connection must stay open. */
  async stop(): Promise<void> {
    this.#cancel();
    this.#early?.giveUpOnLatePages();
    await this.#merging?.catch(() => undefined);
  }

  #plan(): void {
    const intervals = this.#isInitialMerge ? INITIAL_MERGE_INTERVALS : 1;
    this.#timer = setTimeout(() => {
      void this.#mergeInBackground().then(() => {
        if (this.#timer !== null) this.#plan();
      });
    }, intervals * this.#options.intervalMs);
  }

  #cancel(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Never rejects: a failure goes to `fail`. */
  async #mergeInBackground(): Promise<void> {
    this.#merging ??= this.#mergeOnce()
      .catch((error: unknown) => {
        // This process cannot merge any more what is staged; nothing may wait for it.
        this.#fills[this.#current].stagedBytes = 0;
        this.#failure ??= { error };
        this.#options.fail(error);
      })
      .finally(() => {
        this.#merging = null;
        this.#early = null;
      });
    await this.#merging;
  }

  async #mergeOnce(): Promise<void> {
    const table = this.#current;
    const fill = this.#fills[table];
    if (fill.assigned === 0 && fill.acknowledged === 0) return;
    const other = table === 'a' ? 'b' : 'a';
    this.#current = other;
    await drained(fill);
    if (fill.acknowledged === 0) return;
    const early = this.#early;
    const latePages = (): ReturnType<LatePages> =>
      early?.latePages(() => this.#staged(other), this.#options.maxLateMs) ?? Promise.resolve(null);
    const result = await this.#options.merge(table, fill.acknowledged, early === null ? undefined : latePages);
    for (const merged of result.tables) this.#fills[merged] = emptyFill();
    this.#isInitialMerge = false;
    await this.#options.merged(result);
  }

  async #staged(table: StagingTable): Promise<StagedPages> {
    await drained(this.#fills[table]);
    return { table, pages: this.#fills[table].acknowledged };
  }
}

function emptyFill(): StagingFill {
  return { assigned: 0, acknowledged: 0, stagedBytes: 0, drained: null };
}

function drained(fill: StagingFill): Promise<void> {
  if (fill.assigned === 0) return Promise.resolve();
  return new Promise((resolve) => {
    fill.drained = resolve;
  });
}
