/**
 * When staging is merged. Two staging tables in turn: new pages go to one while the other is merged.
 *
 *   page accepted ──▶ assigned to the current table ──▶ COPY ──▶ acknowledged
 *   merge: swap the current table, wait for every page assigned to the old one, then one transaction
 *   closing merge of a first load: the same, begun while the last pages come, which the transaction then takes too
 *
 * Pages of a window are assigned in order, so in a living process a merged table never has a gap.
 */
import type { LatePages } from './merge.ts';
import type { StagingTable } from '../schema/staging.ts';

/** The first merge of an empty target goes without an index, and is put off: so many intervals, or to the end. */
const INITIAL_MERGE_INTERVALS = 4;
/** Staging that outgrows this is merged before its time. */
const MAX_STAGED_BYTES = 2 * 2 ** 30;
/**
 * So long a closing merge waits for pages that come later than was thought, their COPY included. It holds the target locked
 * meanwhile, and a connection on which nothing happens is given up after five to ten seconds.
 */
const MAX_REST_MS = 4_000;

interface StagingFill {
  assigned: number;
  acknowledged: number;
  stagedBytes: number;
  drained: (() => void) | null;
}

export interface Merged {
  readonly seconds: number;
  /** The table that was asked for, and the one with the rest, when it was taken. */
  readonly tables: readonly StagingTable[];
}

export interface MergeScheduleOptions<M extends Merged> {
  /** One transaction; `pages` is how many were acknowledged. With `rest` it may take the other table too. */
  readonly merge: (table: StagingTable, pages: number, rest?: LatePages) => Promise<M>;
  readonly onMerged: (result: M) => void;
  /** Told when a merge that nobody waits for fails. */
  readonly fail: (error: unknown) => void;
  readonly intervalMs: number;
  readonly targetIsEmpty: boolean;
  readonly maxStagedBytes?: number;
  /** Milliseconds; 4 s unless given. */
  readonly maxRestMs?: number;
}

/** A page's assignment; exactly one of its two methods is called once. */
export interface Assignment {
  readonly table: StagingTable;
  acknowledge(): void;
  /** The page will not be copied: the run is over, or staging was lost. */
  abandon(): void;
}

export class MergeSchedule<M extends Merged> {
  readonly #options: MergeScheduleOptions<M>;
  readonly #maxStagedBytes: number;
  readonly #loads: Record<StagingTable, StagingFill> = { a: emptyFill(), b: emptyFill() };
  #current: StagingTable = 'a';
  #merging: Promise<void> | null = null;
  #closing: ClosingMerge | null = null;
  #isInitialMerge: boolean;
  #dueAtMs: number;
  #timer: NodeJS.Timeout | null = null;
  /** Of a merge in the background: what it should have merged is not. */
  #failure: { readonly error: unknown } | null = null;

  constructor(options: MergeScheduleOptions<M>) {
    this.#options = options;
    this.#maxStagedBytes = options.maxStagedBytes ?? MAX_STAGED_BYTES;
    this.#isInitialMerge = options.targetIsEmpty;
    this.#dueAtMs = 0;
    this.#plan();
  }

  /** The next merge is the first of an empty target: put off, because it goes without an index. */
  get isInitialMerge(): boolean {
    return this.#isInitialMerge;
  }

  get isMerging(): boolean {
    return this.#merging !== null;
  }

  /**
   * Where a page's rows go. Waits when staging has outgrown its bound and a merge is under way: then PostgreSQL is the
   * slower one, and everything waits for it.
   */
  async assign(bytes: number): Promise<Assignment> {
    for (;;) {
      const isFull = this.#loads[this.#current].stagedBytes > this.#maxStagedBytes;
      if (isFull) this.#closing?.giveUpOnLatePages();
      // The rest of a closing merge takes no more: the other table is locked, too.
      if (!isFull && this.#closing?.takesRest !== true) break;
      await this.#mergeInBackground();
    }
    const table = this.#current;
    const load = this.#loads[table];
    load.assigned += 1;
    load.stagedBytes += bytes;
    const settle = (): void => {
      load.assigned -= 1;
      if (load.assigned === 0) load.drained?.();
    };
    return {
      table,
      acknowledge: () => {
        load.acknowledged += 1;
        settle();
      },
      abandon: settle,
    };
  }

  /**
   * Merges everything that is acknowledged by the time it ends; the walks must be over.
   * @throws what the merge throws, and what an earlier one in the background threw: the other table may be empty, and
   *   then nothing else would say that pages are missing
   */
  async finish(): Promise<void> {
    this.#cancel();
    this.#closing?.includeLatePages();
    await this.#merging;
    if (this.#failure !== null) throw this.#failure.error;
    await this.#mergeOnce();
  }

  /** Merges what is there in the background, before its time: for when the walks have a moment that is theirs alone. */
  mergeSoon(): void {
    this.#closing?.includeLatePages();
    void this.#mergeInBackground();
  }

  /**
   * Begins the one merge of a first load while its last pages come: they are merged with the others when {@link mergeSoon} or
   * {@link finish} says that they are all there; without that, after four seconds, by themselves.
   */
  beginClosingMerge(): void {
    if (!this.#isInitialMerge || this.#merging !== null) return;
    this.#closing = new ClosingMerge();
    void this.#mergeInBackground();
  }

  /** No further merges on time. A merge under way goes on; wait for it before the connections are closed. */
  async stop(): Promise<void> {
    this.#cancel();
    this.#closing?.giveUpOnLatePages();
    await this.#merging?.catch(() => undefined);
  }

  #plan(): void {
    const intervals = this.#isInitialMerge ? INITIAL_MERGE_INTERVALS : 1;
    this.#dueAtMs = performance.now() + intervals * this.#options.intervalMs;
    this.#timer = setTimeout(() => {
      void this.#mergeInBackground().then(() => {
        if (this.#timer !== null) this.#plan();
      });
    }, this.#dueAtMs - performance.now());
  }

  #cancel(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Never rejects: a failure goes to `fail`. */
  async #mergeInBackground(): Promise<void> {
    this.#merging ??= this.#mergeOnce()
      .catch((error: unknown) => {
        // What is staged cannot be merged by this process any more; nothing may wait for it.
        this.#loads[this.#current].stagedBytes = 0;
        this.#failure ??= { error };
        this.#options.fail(error);
      })
      .finally(() => {
        this.#merging = null;
        this.#closing = null;
      });
    await this.#merging;
  }

  async #mergeOnce(): Promise<void> {
    const table = this.#current;
    const load = this.#loads[table];
    if (load.assigned === 0 && load.acknowledged === 0) return;
    this.#current = table === 'a' ? 'b' : 'a';
    await drained(load);
    if (load.acknowledged === 0) return;
    const closing = this.#closing;
    const rest = closing === null ? undefined : (): ReturnType<LatePages> => this.#latePagesOf(closing, this.#current);
    const result = await this.#options.merge(table, load.acknowledged, rest);
    for (const merged of result.tables) this.#loads[merged] = emptyFill();
    this.#isInitialMerge = false;
    this.#options.onMerged(result);
  }

  /** Asked again, it answers as before. */
  #latePagesOf(closing: ClosingMerge, table: StagingTable): ReturnType<LatePages> {
    closing.rest ??= this.#awaitLatePages(closing, table);
    return closing.rest;
  }

  async #awaitLatePages(closing: ClosingMerge, table: StagingTable): ReturnType<LatePages> {
    const load = this.#loads[table];
    const timer = setTimeout(() => {
      closing.giveUpOnLatePages();
    }, this.#options.maxRestMs ?? MAX_REST_MS);
    await Promise.race([closing.left, closing.allThere.then(() => drained(load))]);
    clearTimeout(timer);
    return closing.take() && load.acknowledged > 0 ? { table, pages: load.acknowledged } : null;
  }
}

/** The one merge of a first load, begun before its last pages came. */
class ClosingMerge {
  rest: ReturnType<LatePages> | null = null;
  /** Resolves when the last page has its table. */
  readonly allThere: Promise<void>;
  /** Resolves when they are not waited for any more. */
  readonly left: Promise<void>;
  #state: 'waiting' | 'all there' | 'taken' | 'left' = 'waiting';
  #resolveAllThere: () => void = () => undefined;
  #resolveLeft: () => void = () => undefined;

  constructor() {
    this.allThere = new Promise((resolve) => {
      this.#resolveAllThere = resolve;
    });
    this.left = new Promise((resolve) => {
      this.#resolveLeft = resolve;
    });
  }

  /** It takes the other table, too, and no page can go there any more. */
  get takesRest(): boolean {
    return this.#state === 'all there' || this.#state === 'taken';
  }

  /** The last pages have their table. */
  includeLatePages(): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'all there';
    this.#resolveAllThere();
  }

  /** They are not to be waited for. Too late for that when the merge has them. */
  giveUpOnLatePages(): void {
    if (this.#state === 'taken') return;
    this.#state = 'left';
    this.#resolveLeft();
  }

  /** The merge asks whether it has them: from now on it does. */
  take(): boolean {
    if (this.#state !== 'all there') return false;
    this.#state = 'taken';
    return true;
  }
}

function emptyFill(): StagingFill {
  return { assigned: 0, acknowledged: 0, stagedBytes: 0, drained: null };
}

function drained(load: StagingFill): Promise<void> {
  if (load.assigned === 0) return Promise.resolve();
  return new Promise((resolve) => {
    load.drained = resolve;
  });
}
