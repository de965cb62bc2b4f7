/**
 * Finds connections that are dead and do not say so: a firewall has forgotten them, a machine is gone without a FIN. TCP
 * itself notices after a quarter of an hour. A timeout would not do, because a merge may take as long as it needs; but the
 * server knows what it is doing for a connection, and a new one can ask.
 */

/** How often the server is asked about statements that take long. */
const CHECK_MS = 5_000;
/** A server that has had nothing to do all the time between so many checks has not heard the question, or its answer was lost. */
const SILENT_CHECKS = 2;
/** Where the server cannot be asked either, so many checks are waited for it. */
const UNREACHABLE_CHECKS = 12;

export interface WatchedBackend {
  readonly pid: number;
  readonly startedAt: string;
}

export interface ConnectionWatchOptions {
  /**
   * Of these backends those that are idle or gone, and since when, in the server's words; on a connection of its own. `null`
   * when the server answered, but with a refusal. @throws when it does not answer
   */
  readonly askWhoIsIdle: (backends: readonly WatchedBackend[]) => Promise<ReadonlyMap<number, string> | null>;
  /** Milliseconds between two checks; 5 s unless given. */
  readonly checkMs?: number;
}

interface Watched {
  readonly backend: WatchedBackend;
  readonly giveUp: () => void;
  idleSince: string | null;
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
    const watched: Watched = { backend, giveUp, idleSince: null, silentChecks: 0, unreachableChecks: 0 };
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
      .askWhoIsIdle(long.map(({ backend }) => backend))
      .then((idle) => ({ idle }))
      .catch(() => null);
    for (const watched of long) {
      if (!this.#watched.has(watched)) continue;
      watched.unreachableChecks = answer === null ? watched.unreachableChecks + 1 : 0;
      if (answer !== null && answer.idle !== null) noteIdle(watched, answer.idle.get(watched.backend.pid) ?? null);
      if (watched.silentChecks < SILENT_CHECKS && watched.unreachableChecks < UNREACHABLE_CHECKS) continue;
      this.#watched.delete(watched);
      watched.giveUp();
    }
  }
}

/** Idle at two checks, but not since the same moment: it has been at work in between. */
function noteIdle(watched: Watched, idleSince: string | null): void {
  if (idleSince === null) watched.silentChecks = 0;
  else watched.silentChecks = idleSince === watched.idleSince ? watched.silentChecks + 1 : 1;
  watched.idleSince = idleSince;
}
