/**
 * Finds dead connections that report no error: a firewall has forgotten them, or a machine vanished without a FIN. TCP
 * itself takes a quarter of an hour to notice. A timeout is no solution, because a merge may take as long as it needs. But
 * the server knows whether it is working for a connection, and a new connection can ask it.
 */
import { runningMs, wasStopped } from '../../core/running-time.ts';

/** How often the server is asked about long statements. */
const CHECK_MS = 5_000;
/** Idle since the same moment at this many checks in a row: our query or its reply was lost. */
const SILENT_CHECKS = 2;
/** A connection is given up after this many checks in a row at which the server could not be asked. */
const UNREACHABLE_CHECKS = 12;

/** A server process. Its start tells it apart from a later process with the same number. */
export interface Backend {
  readonly pid: number;
  readonly startedAt: string;
}

/**
 * Asks the server, on a connection of its own, which of these backends are idle or gone, and since when, in the server's
 * words. The answer is `null` when the server refused to answer. @throws when the server does not answer
 */
export type AskWhoIsIdle = (backends: readonly Backend[]) => Promise<ReadonlyMap<number, string> | null>;

/** Who is told that the server answers nobody, or somebody again; and says whether it is still waited for. */
export interface ServerSilence {
  readonly isOverdue: boolean;
  noteSilence(): void;
  /** @param aliveMs when the server was surely there, ms of `runningMs()` */
  noteAnswer(aliveMs: number): void;
}

interface Watched {
  readonly backend: Backend;
  readonly giveUp: () => void;
  idleSince: string | null;
  silentChecks: number;
  unreachableChecks: number;
}

export class ConnectionWatch {
  readonly #askWhoIsIdle: AskWhoIsIdle;
  readonly #silence: ServerSilence;
  readonly #checkMs: number;
  readonly #watched = new Set<Watched>();
  #timer: NodeJS.Timeout | null = null;

  /** @param checkMs between two checks, milliseconds */
  constructor(askWhoIsIdle: AskWhoIsIdle, silence: ServerSilence, checkMs = CHECK_MS) {
    this.#askWhoIsIdle = askWhoIsIdle;
    this.#silence = silence;
    this.#checkMs = checkMs;
  }

  /**
   * Watches a backend from which an answer is awaited; calls `giveUp` when the answer will not come.
   * @returns ends the watch: call it when nothing is awaited any more.
   */
  begin(backend: Backend, giveUp: () => void): () => void {
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
    }, this.#checkMs);
    this.#timer.unref();
  }

  /** @param long backends that were watched at the check before, too. Never rejects. */
  async #check(long: readonly Watched[]): Promise<void> {
    if (long.length === 0) return;
    const answer = await this.#ask(long.map(({ backend }) => backend));
    for (const watched of long) {
      if (!this.#watched.has(watched)) continue;
      watched.unreachableChecks = answer === null ? watched.unreachableChecks + 1 : 0;
      if (answer !== null && answer.idle !== null) noteIdle(watched, answer.idle.get(watched.backend.pid) ?? null);
      const isOverdue = answer === null && this.#silence.isOverdue;
      const isSilent = watched.silentChecks >= SILENT_CHECKS || watched.unreachableChecks >= UNREACHABLE_CHECKS;
      if (!isSilent && !isOverdue) continue;
      this.#watched.delete(watched);
      watched.giveUp();
    }
  }

  /** `null` when the server cannot be asked. A server that takes long to answer is silent, too. */
  async #ask(backends: readonly Backend[]): Promise<{ readonly idle: ReadonlyMap<number, string> | null } | null> {
    const slow = setTimeout(() => {
      if (!wasStopped(this.#checkMs)) this.#silence.noteSilence();
    }, this.#checkMs);
    try {
      const idle = await this.#askWhoIsIdle(backends);
      this.#silence.noteAnswer(runningMs());
      return { idle };
    } catch {
      this.#silence.noteSilence();
      return null;
    } finally {
      clearTimeout(slow);
    }
  }
}

/** A backend that is idle at two checks, but not since the same moment, was at work in between. */
function noteIdle(watched: Watched, idleSince: string | null): void {
  if (idleSince === null) watched.silentChecks = 0;
  else watched.silentChecks = idleSince === watched.idleSince ? watched.silentChecks + 1 : 1;
  watched.idleSince = idleSince;
}
