/**
 * How far a job is and when it will be done. Pure; terminal, logs, metrics and live page show the same numbers.
 */
import type { JobSnapshot } from '../core/job-snapshot.ts';

/** The span of a rate "now": long enough for a few pages of a slow API, short enough to show a stall. */
const NOW_MS = 5_000;
/** The span that the time left is estimated from: over a minute, waits for the rate limit even out. */
const ESTIMATE_MS = 60_000;

/**
 * Events that are safe or in staging, all starts of the run together. Later passes over the same events do not
 * count past the total.
 */
export function eventsDone(snapshot: JobSnapshot): number {
  const events = snapshot.counts.served + snapshot.stagedRows;
  return snapshot.totalEvents === null ? events : Math.min(events, snapshot.totalEvents);
}

/** 0 to 1; `null` when the total is unknown. Only a job that has ended well has 1: until then something is left to do. */
export function progressRatio(snapshot: JobSnapshot): number | null {
  if (snapshot.ended?.exitCode === 0) return 1;
  // What follows has no end.
  if (snapshot.follow !== null) return null;
  if (snapshot.totalEvents === null || snapshot.totalEvents === 0) return null;
  return Math.min(0.999, eventsDone(snapshot) / snapshot.totalEvents);
}

export interface Rates {
  /** Events a second over the last five seconds. */
  readonly now: number;
  /** Events a second since this process began. */
  readonly average: number;
  /** Seconds until everything is staged, by the last minute's rate; `null` when it cannot be estimated. */
  readonly etaSeconds: number | null;
}

interface Sample {
  readonly atMs: number;
  readonly events: number;
}

/** Keeps the last minute of a job's progress; at most one sample a quarter of a second. */
export class RateMeter {
  readonly #samples: Sample[] = [];

  /** What has ended stands still. @param nowMs epoch ms */
  observe(snapshot: JobSnapshot, nowMs: number): Rates {
    const atMs = snapshot.ended?.atMs ?? nowMs;
    const events = snapshot.copiedEvents;
    const last = this.#samples.at(-1);
    if (last === undefined || atMs - last.atMs >= 250) {
      this.#samples.push({ atMs, events });
      // The last sample before the minute is kept: the minute begins there.
      while ((this.#samples[1]?.atMs ?? Infinity) <= atMs - ESTIMATE_MS) this.#samples.shift();
    }
    const runningMs = Math.max(1, atMs - snapshot.startedAtMs);
    const average = (events / runningMs) * 1000;
    const now = this.#rateSince(atMs - NOW_MS, atMs, events) ?? average;
    const lately = this.#rateSince(atMs - ESTIMATE_MS, atMs, events) ?? average;
    const left = snapshot.totalEvents === null ? null : snapshot.totalEvents - eventsDone(snapshot);
    const etaSeconds = snapshot.ended !== null || left === null || !(lately > 0) ? null : left / lately;
    return { now: snapshot.ended === null ? now : 0, average, etaSeconds };
  }

  #rateSince(sinceMs: number, atMs: number, events: number): number | null {
    const first = this.#samples.findLast((sample) => sample.atMs <= sinceMs) ?? this.#samples[0];
    if (first === undefined || atMs - first.atMs < 500) return null;
    return Math.max(0, ((events - first.events) / (atMs - first.atMs)) * 1000);
  }
}
