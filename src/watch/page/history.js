/**
 * Rows of figures over time, for the server and for a page that stays open. When there are too many, every second row goes and rows come
 * half as often, so that an hour and a day fit in the same memory; of a job that goes on, the last day stays.
 */
const MAX_ROWS = 720;
const FIRST_INTERVAL_MS = 1_000;
const DAY_MS = 86_400_000;

/** @template {readonly [number, ...(number | null)[]]} Row its time first, epoch ms */
export class RowHistory {
  /** The oldest first. @type {Row[]} */
  rows;
  /** Between two rows, ms. */
  intervalMs;

  /** @param {Row[]} [rows] of another one, with its interval @param {number} [intervalMs] */
  constructor(rows = [], intervalMs = FIRST_INTERVAL_MS) {
    this.rows = rows;
    this.intervalMs = intervalMs;
  }

  /**
   * Call it as often as you like: rows are kept at the history's own pace.
   * @param {Row} row @param {boolean} isEnd it is the last one, and always kept
   */
  add(row, isEnd) {
    const sinceLastMs = row[0] - (this.rows.at(-1)?.[0] ?? -Infinity);
    // Timers jitter: a little early is on time.
    if (isEnd ? sinceLastMs <= 0 : sinceLastMs < this.intervalMs * 0.9) return;
    this.rows.push(row);
    if (this.rows.length <= MAX_ROWS) return;
    if (this.intervalMs * MAX_ROWS >= DAY_MS) {
      this.rows.shift();
      return;
    }
    this.rows = this.rows.filter((_, index) => index % 2 === 0);
    this.intervalMs *= 2;
  }
}

/**
 * What --follow has taken, totals → events a minute.
 * @param {readonly (readonly [number, ...(number | null)[]])[]} rows of which the eighth figure is the total
 * @returns {(number | null)[]}
 */
export function newEvents(rows) {
  return rows.map((row, index) => {
    const before = rows[index - 1];
    if (before === undefined || row[7] === null || before[7] === null) return null;
    return ((row[7] - before[7]) / Math.max(1, row[0] - before[0])) * 60_000;
  });
}
