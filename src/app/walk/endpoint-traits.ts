/** What the pages of an endpoint show of it; shared by all walks of a run. Pure. */
import type { PageRequest } from '../../api/api-client.ts';
import type { EncodedPage, PageEnvelope } from '../../core/encoded-page.ts';

export interface EndpointTraits {
  /** Whether `since` and `until` select a window. */
  supportsTimeBounds: boolean;
  /** How large an event has to be expected, bytes of JSON. */
  eventBytes: number;
}

const FIRST_GUESS_EVENT_BYTES = 400;
/** A page of small events does not make the next large one a surprise, a hundred of them do. */
const FORGETTING = 0.98;
/** `since` and `until` are sent widened by a millisecond, and rounded. */
const WIDENED_MS = 2;

/** Assumed until a page shows otherwise. */
export function unknownTraits(): EndpointTraits {
  return { supportsTimeBounds: true, eventBytes: FIRST_GUESS_EVENT_BYTES };
}

export function noteEventBytes(traits: EndpointTraits, page: { servedCount: number; bodyBytes: number }): void {
  if (page.servedCount === 0) return;
  const averageBytes = Math.ceil(page.bodyBytes / page.servedCount);
  traits.eventBytes = Math.max(averageBytes, Math.ceil(traits.eventBytes * FORGETTING));
}

/** Half a sentence for the log; `null` when the envelope makes sense. */
export function describeContradiction(
  { cursor }: Pick<PageRequest, 'cursor'>,
  { hasMore, nextCursor }: Pick<PageEnvelope, 'hasMore' | 'nextCursor'>,
): string | null {
  if (hasMore === true && nextCursor === null) return 'the page says hasMore, but has no next cursor';
  if (nextCursor !== null && nextCursor === cursor && hasMore !== false) {
    return 'the next cursor is the one that was asked for';
  }
  return null;
}

/** Checked, not believed: a page that lies above the time it was asked for comes from an endpoint without time bounds. */
export function ignoresTimeBounds(
  { cursor, untilMs }: Pick<PageRequest, 'cursor' | 'untilMs'>,
  { times, servedCount }: Pick<EncodedPage, 'times' | 'servedCount'>,
): boolean {
  if (cursor !== null || untilMs === null || times === null) return false;
  // One event alone may have a wrong clock.
  return servedCount > 1 && times.descending && times.lastMs > untilMs + WIDENED_MS;
}
