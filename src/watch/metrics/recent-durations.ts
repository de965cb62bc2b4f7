/** The last durations of one kind of work, for people who look now: a histogram since the start answers too late. */

const KEPT = 256;

export interface DurationSummary {
  readonly count: number;
  readonly totalSeconds: number;
  readonly p50Seconds: number;
  readonly p95Seconds: number;
  readonly maxSeconds: number;
}

export class RecentDurations {
  readonly #ring = new Float64Array(KEPT);
  #count = 0;
  #totalSeconds = 0;

  add(seconds: number): void {
    this.#ring[this.#count % KEPT] = seconds;
    this.#count += 1;
    this.#totalSeconds += seconds;
  }

  /** `count` and `totalSeconds` of all, the rest of the last 256; `null` before the first. */
  summary(): DurationSummary | null {
    if (this.#count === 0) return null;
    const sorted = this.#ring.slice(0, Math.min(this.#count, KEPT)).sort();
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
    return {
      count: this.#count,
      totalSeconds: this.#totalSeconds,
      p50Seconds: at(0.5),
      p95Seconds: at(0.95),
      maxSeconds: at(1),
    };
  }
}
