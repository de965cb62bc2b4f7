/**
 * When the next request of one budget may start. Pure: no timers; the caller gives the time, in milliseconds of a clock
 * that never goes back.
 *
 * There are four rules. The one that gives the latest start counts:
 *  - announced: the API names its limit. Its window is divided evenly, a little slower than allowed. No span as long as
 *    the window gets more requests than the limit, so that a sliding limit is kept too
 *  - shared: less is left than our own requests explain, so somebody else uses the key. What is left is divided up to
 *    the reset
 *  - learned: the API names no limit but refused. What it served between two refusals is its rate, which is raised while
 *    nothing is refused, lowered at the next refusal, and never forgotten. When the API serves requests that were sent
 *    after the refused one, the budget was not used up, and nothing is learned
 *  - paused: a refusal stops everybody, once. Then one request goes ahead, and the others follow when it was answered
 */
import type { RateLimitNotice } from './rate-limit-headers.ts';

/** One request on its way: what {@link PacingPolicy.started} gives and `answered` takes back. */
export interface PacingTicket {
  readonly startMs: number;
  settled: boolean;
}

/** `served` used budget; `cached` did not; `refused` is a 429; `failed` said nothing about the limit. */
export type PacingResult = 'served' | 'cached' | 'refused' | 'failed';

export interface PacingPolicyOptions {
  /** Cap for a key that others use too; `null` is none. */
  readonly maxRps: number | null;
  /** In [0, 1). */
  readonly random?: () => number;
}

/** Requests are slower than allowed by this share, because they can overtake each other on the way. */
const FIRST_MARGIN = 0.015;
const MARGIN_STEP = 0.005;
const MAX_MARGIN = 0.02;
/** While nothing is known of the budget one request goes ahead. The others wait for it no longer than this. */
const PROBE_PATIENCE_MS = 5_000;
/**
 * The pause after a refusal that does not say how long. While the window is unknown it is this share of the time since the
 * window's first request, so that the window's length is found to that share. Later it is a small share of the learned
 * length, which grows until a request is served.
 */
const UNKNOWN_PAUSE_SHARE = 0.2;
const LEARNED_PAUSE_SHARE = 0.03;
const PAUSE_GROWTH = 1.6;
const MIN_UNANNOUNCED_PAUSE_MS = 400;
const MAX_UNANNOUNCED_PAUSE_MS = 30_000;
/** A pause gets longer by up to this share, so that processes that share a key do not come back together. */
const PAUSE_JITTER = 0.05;
const MAX_PAUSE_JITTER_MS = 1_000;
/** What a refusal measures counts when at least this many requests were served before it. */
const MIN_MEASURED = 5;
/** The budget was not used up when at least this many requests, sent after the refused one, were served and few refused. */
const MIN_SERVED_AFTER = 2;
/** First raise of the rate after a span without a refusal. Each further raise is twice as large. */
const FIRST_RAISE = 0.03;
const FIRST_RAISE_AFTER_SPANS = 3;
const MAX_RAISE = 1;
const HASTY_RAISE = 0.24;
const MIN_SPAN_MS = 1_000;
/** A shorter learned interval is no limit any more. */
const NO_LIMIT_BELOW_MS = 2;
/** Our own requests are counted over a window longer by this share before somebody else is suspected. */
const OWN_SLACK = 0.1;
/** Starts that are remembered: a limit above this does not matter to us. */
const MAX_REMEMBERED_STARTS = 20_000;
/** Lengths that people choose for windows, seconds. */
const USUAL_WINDOWS_S = [1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1_800, 3_600, 7_200, 86_400];

interface AnnouncedLimit {
  limit: number;
  windowMs: number;
}

interface Learned {
  intervalMs: number;
  /** How long the API takes to refuse, ms. */
  spanMs: number;
  raise: number;
  raisedAtMs: number;
  servedSinceRaise: number;
}

/** From the first request after a pause to the next refusal. */
interface Cycle {
  readonly startMs: number;
  served: number;
  /** By what refusals said, the budget is whole again after at least and at most this time. */
  shortestMs: number;
  longestMs: number;
  /** Start of the request whose refusal ended the cycle; `null` before there is one. */
  refusedStartMs: number | null;
  /** What the API did with requests that were sent after the refused one and before the pause. */
  servedAfter: number;
  refusedAfter: number;
}

function beginCycle(startMs: number, served: number): Cycle {
  return { startMs, served, shortestMs: 0, longestMs: Infinity, refusedStartMs: null, servedAfter: 0, refusedAfter: 0 };
}

export class PacingPolicy {
  readonly #minIntervalMs: number;
  readonly #random: () => number;
  #announced: AnnouncedLimit | null = null;
  #margin = FIRST_MARGIN;
  #shared: { intervalMs: number; untilMs: number } | null = null;
  #learned: Learned | null = null;
  #cycle: Cycle | null = null;
  #pause: { sinceMs: number; untilMs: number } | null = null;
  /** Refusals since something was served; those of one pause count as one. */
  #refusals = 0;
  /** The request that goes ahead, while the others wait for its answer. */
  #probe: PacingTicket | null = null;
  #probing = true;
  /** The last request's moment in the even division. A request may be late; the division does not move with it. */
  #slotMs = -Infinity;
  #startsMs: number[] = [];

  constructor(options: PacingPolicyOptions) {
    this.#minIntervalMs = options.maxRps === null ? 0 : 1000 / options.maxRps;
    this.#random = options.random ?? Math.random;
  }

  /** Current time between two requests, ms; 0 is without a limit. */
  get intervalMs(): number {
    return Math.max(this.#minIntervalMs, this.#announcedIntervalMs(), this.#learned?.intervalMs ?? 0);
  }

  /** End of the pause that everybody is in; `null` when there is none at `nowMs`. */
  pausedUntilMs(nowMs: number): number | null {
    return this.#pause !== null && this.#pause.untilMs > nowMs ? this.#pause.untilMs : null;
  }

  /** When the next request may start: at once when it is not after `nowMs`. */
  nextStartMs(nowMs: number): number {
    this.#raise(nowMs);
    let startMs = Math.max(this.#pause?.untilMs ?? 0, this.#slotMs + this.intervalMs);
    if (this.#probe !== null) startMs = Math.max(startMs, this.#probe.startMs + PROBE_PATIENCE_MS);
    if (this.#shared !== null && this.#shared.untilMs > nowMs) {
      const last = this.#startsMs.at(-1) ?? nowMs;
      startMs = Math.max(startMs, Math.min(last + this.#shared.intervalMs, this.#shared.untilMs));
    }
    if (this.#announced !== null) {
      const oldest = this.#startsMs.at(-this.#announced.limit);
      if (oldest !== undefined) startMs = Math.max(startMs, oldest + this.#announced.windowMs * (1 + this.#margin / 2));
    }
    return startMs;
  }

  /** A request starts now. */
  started(nowMs: number): PacingTicket {
    this.#slotMs = Math.max(this.#slotMs + this.intervalMs, nowMs - this.#catchUpMs());
    this.#startsMs.push(nowMs);
    if (this.#startsMs.length > MAX_REMEMBERED_STARTS * 2)
      this.#startsMs = this.#startsMs.slice(-MAX_REMEMBERED_STARTS);
    this.#cycle ??= beginCycle(nowMs, 0);
    const ticket: PacingTicket = { startMs: nowMs, settled: false };
    if (this.#probing && this.#probe === null) this.#probe = ticket;
    return ticket;
  }

  /** A request was answered, or failed. */
  answered(ticket: PacingTicket, result: PacingResult, notice: RateLimitNotice, nowMs: number): void {
    if (ticket.settled) return;
    ticket.settled = true;
    if (this.#probe === ticket) {
      this.#probe = null;
      // A refusal or a failure says nothing about what the others may do: the next request goes ahead again.
      this.#probing = result === 'refused' || result === 'failed';
    }
    if (result === 'failed') return;
    // A cached answer's headers are as old as the cache, and it cost nothing.
    if (result === 'cached') {
      this.#takeBack(ticket);
      return;
    }
    this.#readNotice(notice, nowMs);
    if (result === 'refused') this.#refused(ticket, notice, nowMs);
    else this.#served(ticket, nowMs);
  }

  /** The API asks for a pause without a refusal (a 503 with `Retry-After`). */
  pauseUntil(untilMs: number, nowMs: number): void {
    this.#pause = { sinceMs: this.#pause?.sinceMs ?? nowMs, untilMs: Math.max(untilMs, this.#pause?.untilMs ?? 0) };
    this.#probing = true;
  }

  #announcedIntervalMs(): number {
    return this.#announced === null ? 0 : (this.#announced.windowMs * (1 + this.#margin)) / this.#announced.limit;
  }

  /** How late a request may be without a loss. If it were more, a window could hold one request too many. */
  #catchUpMs(): number {
    const announced = this.#announcedIntervalMs();
    if (this.#announced !== null && announced >= this.intervalMs) return (this.#announced.windowMs * this.#margin) / 2;
    return Math.max(20, this.intervalMs / 2);
  }

  #takeBack(ticket: PacingTicket): void {
    const at = this.#startsMs.lastIndexOf(ticket.startMs);
    if (at !== -1) this.#startsMs.splice(at, 1);
    this.#slotMs -= this.intervalMs;
  }

  #readNotice(notice: RateLimitNotice, nowMs: number): void {
    const { limit, remaining, resetMs } = notice;
    if (limit === null || limit > MAX_REMEMBERED_STARTS) return;
    if (resetMs !== null && resetMs > 0) {
      const fresh = remaining === limit - 1;
      const readMs = usualWindowMs(resetMs);
      // Right after a window's first request the time to the reset is the window's length. Later it is less.
      if (this.#announced === null || fresh) this.#announced = { limit, windowMs: readMs };
      else this.#announced = { limit, windowMs: Math.max(this.#announced.windowMs, readMs) };
    } else if (this.#announced !== null) {
      this.#announced.limit = limit;
    }
    if (this.#announced === null || remaining === null || resetMs === null) return;
    // Counts a little further back than the window: a request that arrived at its beginning was sent before it.
    const sinceMs = nowMs - this.#announced.windowMs * (1 + OWN_SLACK);
    let own = 1;
    for (let at = this.#startsMs.length - 1; at >= 0 && (this.#startsMs[at] ?? 0) > sinceMs; at -= 1) own += 1;
    this.#shared = remaining < limit - own ? { intervalMs: resetMs / (remaining + 1), untilMs: nowMs + resetMs } : null;
  }

  #served(ticket: PacingTicket, nowMs: number): void {
    const cycle = this.#cycle;
    if (cycle === null) return;
    if (cycle.refusedStartMs !== null && this.#pause !== null && ticket.startMs >= this.#pause.untilMs) {
      if (!isContradicted(cycle)) this.#learn(cycle, ticket.startMs, nowMs);
      this.#cycle = beginCycle(ticket.startMs, 1);
      this.#pause = null;
      this.#refusals = 0;
      return;
    }
    cycle.served += 1;
    if (cycle.refusedStartMs !== null && ticket.startMs > cycle.refusedStartMs) cycle.servedAfter += 1;
    if (this.#learned !== null) this.#learned.servedSinceRaise += 1;
  }

  #refused(ticket: PacingTicket, notice: RateLimitNotice, nowMs: number): void {
    // `Retry-After: 0` says nothing; obeyed, it would be a loop as fast as the network.
    const announcedMs =
      notice.retryAfterMs ?? (notice.remaining === 0 || notice.limit === null ? notice.resetMs : null);
    const announced = announcedMs === 0 ? null : announcedMs;
    // A request that was under way when the pause began belongs to the same refusal.
    const sameEpisode = this.#pause !== null && ticket.startMs < this.#pause.untilMs;
    const cycle = this.#cycle;
    if (cycle !== null) {
      if (cycle.refusedStartMs === null) cycle.refusedStartMs = ticket.startMs;
      else cycle.refusedAfter += 1;
    }
    if (sameEpisode && announced === null) return;
    if (!sameEpisode) {
      this.#refusals += 1;
      if (this.#announced !== null) this.#margin = Math.min(MAX_MARGIN, this.#margin + MARGIN_STEP);
    }
    const waitMs = announced ?? this.#unannouncedPauseMs(nowMs);
    const jitterMs = sameEpisode ? 0 : this.#random() * Math.min(MAX_PAUSE_JITTER_MS, waitMs * PAUSE_JITTER);
    const untilMs = Math.max(nowMs + waitMs + jitterMs, this.#pause?.untilMs ?? 0);
    this.#pause = { sinceMs: sameEpisode ? (this.#pause?.sinceMs ?? nowMs) : nowMs, untilMs };
    this.#probing = true;
    if (cycle === null) return;
    // Not before now. An announced wait may be rounded to whole seconds: the budget returns within a second of its end.
    const elapsedMs = nowMs - cycle.startMs;
    cycle.shortestMs = Math.max(
      cycle.shortestMs,
      announced === null ? ticket.startMs - cycle.startMs : elapsedMs + announced - 1000,
    );
    if (announced !== null) cycle.longestMs = Math.min(cycle.longestMs, elapsedMs + announced);
  }

  #unannouncedPauseMs(nowMs: number): number {
    const share =
      this.#learned === null
        ? (nowMs - (this.#cycle?.startMs ?? nowMs)) * UNKNOWN_PAUSE_SHARE
        : this.#learned.spanMs * LEARNED_PAUSE_SHARE * PAUSE_GROWTH ** (Math.max(1, this.#refusals) - 1);
    return Math.min(MAX_UNANNOUNCED_PAUSE_MS, Math.max(MIN_UNANNOUNCED_PAUSE_MS, share));
  }

  /** A cycle ends with the first request served after its refusal. What it served in that time is the API's rate. */
  #learn(cycle: Cycle, servedAgainMs: number, nowMs: number): void {
    // A limit that the API names need not be guessed, unless the API keeps refusing what it allows.
    if (this.#announced !== null && this.#margin < MAX_MARGIN) return;
    const longestMs = Math.max(1, Math.min(cycle.longestMs, servedAgainMs - cycle.startMs));
    const shortestMs = Math.min(cycle.shortestMs, longestMs);
    const usual = USUAL_WINDOWS_S.find((s) => s * 1000 >= shortestMs && s * 1000 <= longestMs);
    const spanMs = usual === undefined ? shortestMs + (longestMs - shortestMs) * 0.3 : usual * 1000;
    const measuredMs = spanMs / Math.max(1, cycle.served);
    const before = this.#learned?.intervalMs ?? 0;
    let intervalMs = measuredMs;
    if (before > 0) intervalMs = Math.min(Math.max(measuredMs, before * 1.02), before * 1.5);
    if (before > 0 && cycle.served < MIN_MEASURED) intervalMs = before * 1.4;
    this.#learned = {
      intervalMs,
      spanMs: Math.max(MIN_SPAN_MS, Math.min(spanMs, this.#spanBound())),
      raise: FIRST_RAISE,
      raisedAtMs: nowMs,
      servedSinceRaise: 0,
    };
  }

  /**
   * A cycle can hold many windows; then its length does not say how long the API takes to refuse. The shortest cycle does.
   * But when the rate was raised several times before the refusal, it was raised too soon.
   */
  #spanBound(): number {
    if (this.#learned === null) return Infinity;
    return this.#learned.spanMs * (this.#learned.raise >= HASTY_RAISE ? 1.5 : 1);
  }

  /** Raises the rate, each time more, when nothing was refused over a whole span and the rate was really used. */
  #raise(nowMs: number): void {
    const learned = this.#learned;
    if (learned === null) return;
    const elapsedMs = nowMs - learned.raisedAtMs;
    // The first raise after a refusal is the most likely to bring the next refusal: it comes later.
    if (elapsedMs < learned.spanMs * (learned.raise === FIRST_RAISE ? FIRST_RAISE_AFTER_SPANS : 1)) return;
    const used = learned.servedSinceRaise >= (0.7 * elapsedMs) / learned.intervalMs;
    learned.raisedAtMs = nowMs;
    learned.servedSinceRaise = 0;
    if (!used) return;
    learned.intervalMs /= 1 + learned.raise;
    learned.raise = Math.min(MAX_RAISE, learned.raise * 2);
    if (learned.intervalMs < NO_LIMIT_BELOW_MS) this.#learned = null;
  }
}

/** The refusal was not about a budget: the API served what was sent after it. */
function isContradicted({ servedAfter, refusedAfter }: Cycle): boolean {
  return servedAfter >= MIN_SERVED_AFTER && servedAfter > 3 * refusedAfter;
}

/** The length people choose that is within a second of `readMs`, else `readMs`: resets are announced in whole seconds. */
function usualWindowMs(readMs: number): number {
  const usual = USUAL_WINDOWS_S.find((s) => Math.abs(s * 1000 - readMs) <= 1000 && s >= 5);
  return usual === undefined ? readMs : usual * 1000;
}
