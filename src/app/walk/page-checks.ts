/** What a page says that cannot be, or that says something about its endpoint. Pure. */
import type { EncodedPage, PageEnvelope } from '../../core/encoded-page.ts';

/** `since` and `until` are sent widened by a millisecond, and rounded. */
const WIDENED_MS = 2;

interface AskedFor {
  readonly cursor: string | null;
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
}

/** One half-sentence for the log; `null` when the envelope makes sense. */
export function describeContradiction(
  asked: Pick<AskedFor, 'cursor'>,
  envelope: Pick<PageEnvelope, 'hasMore' | 'nextCursor'>,
): string | null {
  if (envelope.hasMore === true && envelope.nextCursor === null) return 'the page says hasMore, but has no next cursor';
  if (envelope.nextCursor !== null && envelope.nextCursor === asked.cursor && envelope.hasMore !== false) {
    return 'the next cursor is the one that was asked for';
  }
  return null;
}

type TimedPage = Pick<EncodedPage, 'times' | 'servedCount'>;

/** Checked, not believed: a page that lies above the time it was asked for comes from an endpoint without windows. */
export function ignoresWindows(asked: AskedFor, { times, servedCount }: TimedPage): boolean {
  if (asked.cursor !== null || asked.untilMs === null || times === null) return false;
  // One event alone may have a wrong clock.
  return servedCount > 1 && times.descending && times.lastMs > asked.untilMs + WIDENED_MS;
}
