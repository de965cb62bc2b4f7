/** The one line under the log: as much as fits, the most important first. Pure. */
import type { JobSnapshot } from '../core/job-snapshot.ts';
import { eventsDone, progressRatio, type Rates } from './progress-estimate.ts';
import { durationText, percentText, shortText, wholeText } from './number-texts.ts';

const MIN_BAR = 8;
const MAX_BAR = 32;
/** Columns; in fewer, words are worth more than a bar. */
const MIN_ROOM_FOR_BAR = 30;
const FILLED = '█';
const EMPTY = '░';
const SEPARATOR = ' · ';

/**
 * @param columns width of the terminal. The line is at least one shorter: a full line leaves the cursor where some terminals
 *   have wrapped already and others have not.
 */
export function progressLine(snapshot: JobSnapshot, rates: Rates, nowMs: number, columns: number): string {
  const room = Math.max(1, columns - 1);
  const ratio = progressRatio(snapshot);
  const parts: string[] = [ratio === null ? snapshot.phase : percentText(ratio)];
  // A bar says most at a glance: other figures get what it leaves, unless there is hardly room for either.
  const forDetails = ratio !== null && room >= MIN_ROOM_FOR_BAR ? room - MIN_BAR - 1 : room;
  // In the order of their worth; those that do not fit are left out, later ones may still fit.
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
    rates.etaSeconds === null ? null : `${durationText(rates.etaSeconds)} left`,
    `${shortText(rates.now)}/s`,
    total === null
      ? `${wholeText(eventsDone(snapshot))} events`
      : `${shortText(eventsDone(snapshot))}/${shortText(total)}`,
    `avg ${shortText(rates.average)}/s`,
    snapshot.pagesInFlight === 0 ? null : `${snapshot.pagesInFlight} pages in flight`,
    anomalies === 0 ? null : `${wholeText(anomalies)} anomalies`,
    // Without a percent, the phase stands at the beginning.
    progressRatio(snapshot) === null || snapshot.phase === 'discovering' || snapshot.phase === 'loading'
      ? null
      : snapshot.phase,
  ].filter((part) => part !== null);
}

/** `rate limit, 23 s`; `null` when it does not wait. */
export function waitingText({ waiting }: JobSnapshot, nowMs: number): string | null {
  if (waiting === null) return null;
  const leftMs = waiting.untilMs === null ? 0 : waiting.untilMs - nowMs;
  return leftMs > 0 ? `${waiting.reason}, ${durationText(Math.ceil(leftMs / 1000))}` : waiting.reason;
}
