/**
 * Days in seconds: the list grows by day and sleeps by night, the API fails for hours and forgets its cursors, the job is stopped
 * and started again, its sessions are killed in the middle of rounds, PostgreSQL crashes. All waits come from a clock that is moved on;
 * PostgreSQL, sockets and threads are real.
 */
import assert from 'node:assert/strict';
import { fraction } from '../../../src/simulator/data/random.ts';
import { HOUR_MS, MINUTE_MS, type GrowingList } from './growing-list.ts';
import { keptBytes } from './kept-bytes.ts';

export interface WeekOptions {
  readonly days: number;
  /** Each is followed by a start. */
  readonly stops: number;
  /** All sessions of the job die while a page is on its way. */
  readonly cuts: number;
  /** Of the API, one to three hours each. */
  readonly outages: number;
  /** Of PostgreSQL. */
  readonly crashes: number;
  readonly crash: () => Promise<void>;
}

export interface WeekResult {
  /** Ends of rounds. */
  readonly rounds: number;
  readonly requests: number;
  readonly allowedRequests: number;
  readonly events: number;
  /** Moments at which some of them came. */
  readonly growths: number;
  /** That were not there after the look that followed them, though both ends were up. */
  readonly late: number;
  /** What is kept in memory when the first hour is over, and before the end. */
  readonly keptAfterHour: number;
  readonly keptAtEnd: number;
  readonly linesPerDay: number;
}

const DAY_MS = 24 * HOUR_MS;
const SEED = 17;
/** Of the day, in which something new comes. */
const GROWTHS_PER_HOUR = 12;
const MOST_AT_ONCE = 40;
const FIRST_HOUR = 6;
/** Pages of a lookback: its events, and how it ends. */
const LOOKBACK_PAGES = 3;

/** Moments between the first hour and the last day's noon, the earliest first. */
function momentsOf(count: number, draw: () => number, fromMs: number, toMs: number): number[] {
  return Array.from({ length: count }, () => fromMs + draw() * (toMs - fromMs)).sort((one, other) => one - other);
}

export async function passWeek(list: GrowingList, options: WeekOptions): Promise<WeekResult> {
  const { clock, api, database } = list;
  let drawn = 0;
  const draw = (): number => fraction(SEED, (drawn += 1));
  const startMs = clock.now();
  const endMs = startMs + options.days * DAY_MS;
  const moments = (count: number): number[] => momentsOf(count, draw, startMs + 2 * HOUR_MS, endMs - 5 * HOUR_MS);
  const stops = moments(options.stops);
  const cuts = moments(options.cuts);
  const crashes = moments(options.crashes);
  const outages = moments(options.outages).map((fromMs) => ({
    fromMs,
    toMs: fromMs + HOUR_MS * (1 + 2 * draw()),
  }));
  const isAway = (): boolean => outages.some(({ fromMs, toMs }) => clock.now() >= fromMs && clock.now() < toMs);
  const isDue = (due: number[]): boolean => (due[0] ?? Infinity) <= clock.now() && due.shift() !== undefined;
  const counted = { rounds: 0, growths: 0, late: 0 };
  // A little more than will come.
  list.reserve(0.6 * options.days * (24 - FIRST_HOUR) * GROWTHS_PER_HOUR * MOST_AT_ONCE);
  list.keptLines = 100;
  let pending: readonly string[] = [];
  let isExcused = true;
  let keptAfterHour = 0;
  let keptAtEnd = 0;
  list.hook = async ({ cursor, number }) => {
    if (isAway()) return { status: 503, body: { error: 'away' } };
    if (cursor !== null && number % 13 === 0) return { status: 410, body: { code: 'CURSOR_EXPIRED' } };
    if (isDue(cuts)) {
      isExcused = true;
      await database.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'datasync-ingestion %'`,
      );
    }
    return undefined;
  };
  while (clock.now() < endMs) {
    const end = await list.follow(async (_wait, forMs) => {
      counted.rounds += 1;
      if (clock.now() >= endMs) {
        keptAtEnd = await keptBytes();
        return false;
      }
      if (keptAfterHour === 0 && clock.now() - startMs > HOUR_MS) keptAfterHour = await keptBytes();
      const missing = await list.missingOf(pending);
      if (!isExcused && !isAway()) counted.late += missing.length;
      isExcused = isAway();
      if (isDue(crashes)) {
        isExcused = true;
        await options.crash();
      }
      const isDay = new Date(clock.now()).getUTCHours() >= FIRST_HOUR;
      if (isDay && forMs > 0 && draw() < (GROWTHS_PER_HOUR * forMs) / HOUR_MS) {
        counted.growths += 1;
        list.grow(1 + Math.floor(draw() * MOST_AT_ONCE), draw() * 20_000, 500);
        if (draw() < 0.05) list.add(clock.now() - draw() * 30 * MINUTE_MS);
      }
      pending = [...missing, ...list.takeAdded()];
      return !isDue(stops);
    });
    assert.equal(end.error, null, end.log.slice(-10).join(''));
    isExcused = true;
  }
  const lookbacks = Math.min((options.days * DAY_MS) / (15 * MINUTE_MS), counted.growths);
  return {
    rounds: counted.rounds,
    requests: api.pageRequests,
    allowedRequests: 1.1 * (counted.rounds + list.newPages + LOOKBACK_PAGES * lookbacks),
    events: list.events.length,
    growths: counted.growths,
    late: counted.late,
    keptAfterHour,
    keptAtEnd,
    linesPerDay: list.lines / options.days,
  };
}
