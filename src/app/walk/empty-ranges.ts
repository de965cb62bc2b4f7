/**
 * Where answers have shown that nothing lies, in walk time; shared by the walks of one pass. Pure. An answer to "what lies below this?"
 * shows it for all times between what was asked and the newest event that came, and so for every window there.
 */
import type { TimeRange } from '../../core/walk-time.ts';

/** `(fromMs, toMs]` */
interface EmptyRange {
  readonly fromMs: number;
  readonly toMs: number;
}

/** An answer without any event may be none: as often it must come, about one time or another. */
const SILENT_ANSWERS = 3;

export class EmptyRanges {
  readonly #ranges: EmptyRange[] = [];
  /** From where down nothing came, of each answer. */
  readonly #silentMs: number[] = [];

  /** @param newestMs of what came */
  note(askedMs: number | null, newestMs: number): void {
    if (askedMs !== null && newestMs < askedMs) this.#ranges.push({ fromMs: newestMs, toMs: askedMs });
  }

  /** Nothing came. */
  noteSilence(askedMs: number | null): void {
    if (askedMs !== null) this.#silentMs.push(askedMs);
  }

  /** Whether nothing lies in a window. */
  covers({ sinceMs, untilMs }: TimeRange): boolean {
    if (sinceMs === null || untilMs === null) return false;
    return this.#ranges.some(({ fromMs, toMs }) => fromMs < sinceMs && untilMs <= toMs);
  }

  /** Whether nothing came as often as it must, from the time down or from above it. */
  isSilentBelow(ms: number | null): boolean {
    return ms !== null && this.#silentMs.filter((askedMs) => askedMs >= ms).length >= SILENT_ANSWERS;
  }

  /** The time itself, or the top of what is known to be empty above it. */
  above(ms: number): number {
    const tops = this.#ranges.filter(({ fromMs, toMs }) => fromMs <= ms && ms < toMs).map(({ toMs }) => toMs);
    const silent = this.#silentMs.toSorted((one, other) => other - one)[SILENT_ANSWERS - 1] ?? -Infinity;
    return Math.max(ms, silent, ...tops);
  }

  /** The time itself, or the event below what is known to be empty there. */
  below(ms: number): number {
    const ends = this.#ranges.filter(({ fromMs, toMs }) => fromMs < ms && ms <= toMs).map(({ fromMs }) => fromMs);
    return Math.min(ms, ...ends);
  }
}
