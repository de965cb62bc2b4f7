/**
 * Finds connections that are dead and do not say so: a firewall has forgotten them, a machine is gone without a FIN. TCP
 * itself notices after a quarter of an hour. A timeout would not do, because a merge may take as long as it needs; but the
 * server knows what it is doing for a connection, and a new one can ask.
 */

/** How often the server is asked about statements that take long. */
const CHECK_MS = 5_000;
/** A server that has had nothing to do for so many checks has not heard the question, or its answer was lost. */
const SILENT_CHECKS = 2;
/** Where the server cannot be asked either, so many checks are waited for it. */
const UNREACHABLE_CHECKS = 12;

export interface WatchedBackend {
  readonly pid: number;
  readonly startedAt: string;
}

export interface ConnectionWatchOptions {
  /**
   * Of these backends those that are at work, on a connection of its own; `null` when the server answered, but with a
   * refusal. @throws when it does not answer
   */
  readonly askWhoWorks: (backends: readonly WatchedBackend[]) => Promise<ReadonlySet<number> | null>;
  /** Milliseconds between two checks; 5 s unless given. */
  readonly checkMs?: number;
}

interface Watched {
  readonly backend: WatchedBackend;
  readonly giveUp: () => void;
  silentChecks: number;
  unreachableChecks: number;
}

export class ConnectionWatch {
  readonly #options: ConnectionWatchOptions;
  readonly #watched = new Set<Watched>();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: ConnectionWatchOptions) {
    this.#options = options;
  }

  /**
   * From now on something is awaited from this backend all the time; `giveUp` is called when it will not come.
   * @returns to be called when nothing is awaited any more.
   */
  begin(backend: WatchedBackend, giveUp: () => void): () => void {
    const watched: Watched = { backend, giveUp, silentChecks: 0, unreachableChecks: 0 };
    this.#watched.add(watched);
    this.#plan();
    return () => {
      this.#watched.delete(watched);
    };
  }

  #plan(): void {
    if (this.#timer !== null || this.#watched.size === 0) return;
    const known = [...this.#watched];
    this.#timer = setTimeout(() => {
      void this.#check(known.filter((watched) => this.#watched.has(watched))).finally(() => {
        this.#timer = null;
        this.#plan();
      });
    }, this.#options.checkMs ?? CHECK_MS);
    this.#timer.unref();
  }

  /** Those that were there a check ago. Never rejects. */
  async #check(long: readonly Watched[]): Promise<void> {
    if (long.length === 0) return;
    const answer = await this.#options
      .askWhoWorks(long.map(({ backend }) => backend))
      .then((working) => ({ working }))
      .catch(() => null);
    for (const watched of long) {
      if (!this.#watched.has(watched)) continue;
      watched.unreachableChecks = answer === null ? watched.unreachableChecks + 1 : 0;
      if (answer !== null && answer.working !== null) {
        watched.silentChecks = answer.working.has(watched.backend.pid) ? 0 : watched.silentChecks + 1;
      }
      if (watched.silentChecks < SILENT_CHECKS && watched.unreachableChecks < UNREACHABLE_CHECKS) continue;
      this.#watched.delete(watched);
      watched.giveUp();
    }
  }
}
