/** The last durations of each kind of work, for people who look now: a histogram since the start answers too late. */
import type { JobObserver } from '../../core/job-snapshot.ts';

const KEPT = 256;

export interface DurationSummary {
  /** Of all durations since the start; the other figures are of the last 256. */
  readonly totalSeconds: number;
  readonly p50Seconds: number;
  readonly p95Seconds: number;
  readonly maxSeconds: number;
}

/** `null` before the first duration of a kind. */
export type WorkSummary = Readonly<Record<'pageRequest' | 'encode' | 'copy' | 'rateLimitWait', DurationSummary | null>>;

export class RecentWork {
  readonly #durations = {
    pageRequest: new RecentDurations(),
    encode: new RecentDurations(),
    copy: new RecentDurations(),
    merge: new RecentDurations(),
    rateLimitWait: new RecentDurations(),
  };

  /** Keeps what the stages of a job report, and passes it on. */
  observing(next: JobObserver): Required<JobObserver> {
    const keep =
      <A extends unknown[]>(kind: keyof JobObserver, pass?: (seconds: number, ...details: A) => void) =>
      (seconds: number, ...details: A): void => {
        this.#durations[kind].add(seconds);
        pass?.(seconds, ...details);
      };
    return {
      pageRequest: keep('pageRequest', next.pageRequest),
      encode: keep('encode', next.encode),
      copy: keep('copy', next.copy),
      merge: keep('merge', next.merge),
      rateLimitWait: keep('rateLimitWait', next.rateLimitWait),
    };
  }

  summary(): WorkSummary {
    const { pageRequest, encode, copy, rateLimitWait } = this.#durations;
    return {
      pageRequest: pageRequest.summary(),
      encode: encode.summary(),
      copy: copy.summary(),
      rateLimitWait: rateLimitWait.summary(),
    };
  }

  /** Since the start. Work that overlaps counts each time: the sum can exceed the wall clock. */
  totalSeconds(kind: keyof JobObserver): number {
    return this.#durations[kind].totalSeconds;
  }
}

class RecentDurations {
  readonly #ring = new Float64Array(KEPT);
  #count = 0;
  totalSeconds = 0;

  add(seconds: number): void {
    this.#ring[this.#count % KEPT] = seconds;
    this.#count += 1;
    this.totalSeconds += seconds;
  }

  summary(): DurationSummary | null {
    if (this.#count === 0) return null;
    const sorted = this.#ring.slice(0, Math.min(this.#count, KEPT)).sort();
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
    return { totalSeconds: this.totalSeconds, p50Seconds: at(0.5), p95Seconds: at(0.95), maxSeconds: at(1) };
  }
}
