/** The text of the line under the log: as much as fits, the most important first. Pure. */
import type { JobSnapshot } from '../core/job-snapshot.ts';
import { duration, percent, short, whole } from './page/texts.js';
import { eventsDone, progressRatio, type Rates } from './progress-estimate.ts';

const MIN_BAR = 8;
const MAX_BAR = 32;
/** Columns; in a narrower line, words are worth more than a bar. */
const MIN_ROOM_FOR_BAR = 30;
const FILLED = '█';
const EMPTY = '░';
const SEPARATOR = ' · ';

/**
 * @param columns width of the terminal. The line is at least one column shorter: after a full line some terminals have
 *   moved the cursor to the next line already, and others have not.
 */
export function progressLine(snapshot: JobSnapshot, rates: Rates, nowMs: number, columns: number): string {
  const room = Math.max(1, columns - 1);
  const ratio = progressRatio(snapshot);
  const parts: string[] = [ratio === null ? snapshot.phase : percent(ratio)];
  // A bar says most at a glance: details get the room that it leaves, unless there is hardly room for either.
  const forDetails = ratio !== null && room >= MIN_ROOM_FOR_BAR ? room - MIN_BAR - 1 : room;
  // The most useful first. One that does not fit is left out, and later ones may still fit.
  for (const part of details(snapshot, rates, nowMs)) {
    if ([...parts, part].join(SEPARATOR).length <= forDetails) parts.push(part);
  }
  const text = parts.join(SEPARATOR);
  const barRoom = Math.min(MAX_BAR, room - text.length - 1);
  if (ratio === null || barRoom < MIN_BAR) return text.slice(0, room);
  const filled = Math.round(ratio * barRoom);
  return `${FILLED.repeat(filled)}${EMPTY.repeat(barRoom - filled)} ${text}`;
}

function details(snapshot: JobSnapshot, rates: Rates, nowMs: number): string[] {
  const waiting = waitingText(snapshot, nowMs);
  const total = snapshot.totalEvents;
  const anomalies = snapshot.counts.rejected + snapshot.counts.repaired;
  return [
    waiting === null ? null : `waiting: ${waiting}`,
    rates.etaSeconds === null ? null : `${duration(rates.etaSeconds)} left`,
    `${short(rates.now)}/s`,
    total === null ? `${whole(eventsDone(snapshot))} events` : `${short(eventsDone(snapshot))}/${short(total)}`,
    `avg ${short(rates.average)}/s`,
    snapshot.pagesInFlight === 0 ? null : `${snapshot.pagesInFlight} pages in flight`,
    anomalies === 0 ? null : `${whole(anomalies)} anomalies`,
    // Without a percentage the line begins with the phase.
    progressRatio(snapshot) === null || snapshot.phase === 'loading' ? null : snapshot.phase,
  ].filter((part) => part !== null);
}

/** `rate limit, 23 s`; `null` when it does not wait. */
export function waitingText({ waiting }: JobSnapshot, nowMs: number): string | null {
  if (waiting === null) return null;
  const leftMs = waiting.untilMs === null ? 0 : waiting.untilMs - nowMs;
  return leftMs > 0 ? `${waiting.reason}, ${duration(Math.ceil(leftMs / 1000))}` : waiting.reason;
}
