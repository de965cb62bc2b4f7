/**
 * Callers, an API and a clock in virtual time: hours of pacing in milliseconds. A policy is compared with an oracle that knows
 * the limit, has the same callers and latency, and sends each request at the first moment at which it is granted.
 */
import type { PacingResult, PacingTicket } from '../../../src/api/pacing-policy.ts';
import type { RateLimitNotice } from '../../../src/api/rate-limit-headers.ts';
import { fraction, purposeSeed } from '../../../src/simulator/data/random.ts';
import { noticeOf, type VirtualApi } from './virtual-headers.ts';
import type { VirtualLimit } from './virtual-limits.ts';

/** What the pacer asks of a policy. */
export interface Pacing {
  nextStartMs(nowMs: number): number;
  started(nowMs: number): PacingTicket;
  answered(ticket: PacingTicket, result: PacingResult, notice: RateLimitNotice, nowMs: number): void;
}

export interface Callers {
  readonly count: number;
  readonly latencyMs: number;
  /** By this share of the latency an answer takes longer, or shorter. */
  readonly jitter?: number;
  /** A request takes up to this much longer to arrive. */
  readonly lateMs?: number;
  readonly seed?: number;
  /** When the callers begin, ms of the API's own clock. */
  readonly beginMs?: number;
}

export interface Course {
  /** When each request was granted, by the API's clock. */
  readonly grantedMs: readonly number[];
  /** When each request was sent that was refused. */
  readonly refusedMs: readonly number[];
  /** First refusal of each episode; what was on its way when it came back belongs to it. */
  readonly episodesMs: readonly number[];
  /** Requests that were sent although a refusal had said to wait, and the time was not over. */
  readonly intoPause: number;
  readonly startsMs: readonly number[];
}

/** On the way to the API; the rest of the latency is its work, and the way back. */
const MAX_WAY_MS = 100;

export interface Until {
  /** Ends when this number of requests was granted. */
  readonly granted?: number;
  readonly ms: number;
}

/** Runs callers that always want their next request. */
export function runPolicy(policy: Pacing, api: VirtualApi, callers: Callers, until: Until): Course {
  const limit = api.limit();
  const { latencyMs, seed = 7, beginMs = 0 } = callers;
  const wayMs = Math.min(latencyMs / 2, MAX_WAY_MS);
  const others = new Others(limit, api, beginMs);
  const arrivals: Arrival[] = [];
  const answers: Answer[] = [];
  const grantedMs: number[] = [];
  const refusedMs: number[] = [];
  const episodesMs: number[] = [];
  const startsMs: number[] = [];
  let intoPause = 0;
  let toldUntilMs = -Infinity;
  let episodeMs = -Infinity;
  let idle = callers.count;
  let nowMs = beginMs;
  let number = 0;
  while (nowMs < until.ms && grantedMs.length < (until.granted ?? Infinity)) {
    const startMs = idle > 0 ? Math.max(nowMs, policy.nextStartMs(nowMs)) : Infinity;
    const arrivalMs = arrivals[0]?.atMs ?? Infinity;
    const answerMs = answers[0]?.atMs ?? Infinity;
    nowMs = Math.min(startMs, arrivalMs, answerMs);
    if (answerMs === nowMs) {
      const [answer] = answers.splice(0, 1);
      if (answer === undefined) break;
      idle += 1;
      if (!answer.granted) {
        refusedMs.push(answer.sentMs);
        if (answer.sentMs > episodeMs) {
          episodeMs = nowMs;
          episodesMs.push(nowMs);
        }
        toldUntilMs = Math.max(toldUntilMs, nowMs + (answer.notice.retryAfterMs ?? 0));
      }
      policy.answered(answer.ticket, answer.granted ? 'served' : 'refused', answer.notice, nowMs);
    } else if (arrivalMs === nowMs) {
      const [arrival] = arrivals.splice(0, 1);
      if (arrival === undefined) break;
      others.until(nowMs);
      const refused = api.refuses?.(arrival.number) === true;
      const granted = !refused && limit.take(nowMs);
      if (granted) grantedMs.push(nowMs);
      const jitter =
        (callers.jitter ?? 0) * latencyMs * (2 * fraction(purposeSeed(seed, 'answer'), arrival.number) - 1);
      const atMs = Math.max(nowMs, nowMs + latencyMs - wayMs + jitter);
      const notice = noticeOf(api, limit, { granted, refused, nowMs, receivedMs: atMs });
      insert(answers, { atMs, granted, notice, ticket: arrival.ticket, sentMs: arrival.sentMs });
    } else if (startMs === nowMs) {
      idle -= 1;
      number += 1;
      startsMs.push(nowMs);
      if (nowMs < toldUntilMs) intoPause += 1;
      const late = (callers.lateMs ?? 0) * fraction(purposeSeed(seed, 'late'), number);
      insert(arrivals, { atMs: nowMs + wayMs + late, ticket: policy.started(nowMs), number, sentMs: nowMs });
    } else break;
  }
  return { grantedMs, refusedMs, episodesMs, intoPause, startsMs };
}

/**
 * When an oracle's requests are granted, by the API's clock.
 * @param learns it knows the limit only when its first refusal has come back, and waits then as it is told: no policy that
 *   obeys can do better
 */
export function runOracle(api: VirtualApi, callers: Callers, requests: number, learns = false): number[] {
  const limit = api.limit();
  const { latencyMs, beginMs = 0 } = callers;
  const wayMs = Math.min(latencyMs / 2, MAX_WAY_MS);
  const others = new Others(limit, api, beginMs);
  const freeMs = Array.from({ length: callers.count }, () => beginMs);
  const grantedMs: number[] = [];
  let learnedMs = learns ? Infinity : -Infinity;
  let toldUntilMs = -Infinity;
  while (grantedMs.length < requests) {
    const callMs = freeMs.shift() ?? 0;
    // Requests arrive in the order in which they are sent.
    const fromMs = Math.max(Math.max(callMs, toldUntilMs) + wayMs, grantedMs.at(-1) ?? 0);
    let atMs = callMs < learnedMs ? callMs + wayMs : limit.earliestMs(fromMs);
    // Whoever comes before may take what was seen.
    while (others.nextMs <= atMs) {
      others.until(others.nextMs);
      if (callMs >= learnedMs) atMs = limit.earliestMs(Math.max(fromMs, others.lastMs));
    }
    const doneMs = atMs + latencyMs - wayMs;
    if (limit.take(atMs)) grantedMs.push(atMs);
    else if (learnedMs === Infinity) {
      learnedMs = doneMs;
      if (api.retryAfter) toldUntilMs = doneMs + Math.ceil((limit.earliestMs(atMs) - atMs) / 1000) * 1000;
    }
    freeMs.push(doneMs);
  }
  return grantedMs;
}

export interface Case {
  readonly name: string;
  readonly api: VirtualApi;
  readonly callers: Callers;
  /** Compared when the oracle was granted this number. */
  readonly requests: number;
  /** Only what is granted from here on counts, ms after the beginning. */
  readonly countsFromMs?: number;
  /** Stands in for the oracle where refusals do not depend on the rate: nobody can foresee those. */
  readonly reference?: () => Pacing;
}

export interface Comparison {
  /** Requests granted until the oracle's last one, over the oracle's. */
  readonly share: number;
  /** Time for as many requests, over the oracle's. */
  readonly times: number;
  /** Most episodes of refusals in a window, the first two left out, in which a limit is found. */
  readonly episodesAWindow: number;
  readonly intoPause: number;
  readonly course: Course;
}

/** Of named limits: 600 requests or 10 windows, whichever is more. */
export function usualRequests(limit: number): number {
  return Math.max(600, 10 * limit);
}

export function compare(policy: Pacing, { api, callers, requests, reference, countsFromMs = 0 }: Case): Comparison {
  const { beginMs = 0 } = callers;
  const best =
    reference === undefined
      ? runOracle(api, callers, requests)
      : runPolicy(reference(), api, callers, { granted: requests, ms: Infinity }).grantedMs;
  const endMs = best.at(-1) ?? beginMs;
  const course = runPolicy(policy, api, callers, { granted: requests, ms: endMs + 4 * (endMs - beginMs) + 600_000 });
  const counted = (grantedMs: readonly number[]): number =>
    grantedMs.filter((ms) => ms <= endMs && ms > beginMs + countsFromMs).length;
  return {
    share: counted(course.grantedMs) / counted(best),
    times: ((course.grantedMs.at(requests - 1) ?? Infinity) - beginMs) / (endMs - beginMs),
    episodesAWindow: mostInAWindow(
      course.episodesMs,
      api.limit().windowMs,
      beginMs + Math.max(countsFromMs, 2 * api.limit().windowMs),
    ),
    intoPause: course.intoPause,
    course,
  };
}

function mostInAWindow(episodesMs: readonly number[], windowMs: number, fromMs: number): number {
  const counts = new Map<number, number>();
  for (const episodeMs of episodesMs) {
    const window = Math.floor((episodeMs - fromMs) / windowMs);
    if (window >= 0) counts.set(window, (counts.get(window) ?? 0) + 1);
  }
  return Math.max(0, ...counts.values());
}

interface Arrival {
  readonly atMs: number;
  readonly ticket: PacingTicket;
  readonly number: number;
  readonly sentMs: number;
}

interface Answer {
  readonly atMs: number;
  readonly ticket: PacingTicket;
  readonly granted: boolean;
  readonly notice: RateLimitNotice;
  readonly sentMs: number;
}

function insert<T extends { readonly atMs: number }>(sorted: T[], item: T): void {
  let at = sorted.length;
  while (at > 0 && (sorted[at - 1]?.atMs ?? 0) > item.atMs) at -= 1;
  sorted.splice(at, 0, item);
}

/** Somebody else with the same key. */
class Others {
  readonly #limit: VirtualLimit;
  readonly #everyMs: number;
  nextMs: number;
  lastMs = -Infinity;

  constructor(limit: VirtualLimit, api: VirtualApi, beginMs: number) {
    this.#limit = limit;
    this.#everyMs = api.othersEveryMs ?? Infinity;
    this.nextMs = api.othersEveryMs === undefined ? Infinity : beginMs;
    if (api.usedUp === true) for (let used = 0; used < limit.limit; used += 1) limit.take(0);
  }

  /** Sends what they send until then. */
  until(nowMs: number): void {
    for (; this.nextMs <= nowMs; this.nextMs += this.#everyMs) {
      this.lastMs = this.nextMs;
      this.#limit.take(this.nextMs);
    }
  }
}
