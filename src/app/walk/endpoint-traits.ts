/** What was learned about the endpoint by looking at its pages; shared by all walks of a run. */
export interface EndpointTraits {
  /** Whether `since` and `until` select a window. */
  supportsTimeBounds: boolean;
  /** Whether `since` counts when a cursor is sent with it. */
  /** How large an event has to be expected, bytes of JSON. */
  eventBytes: number;
}

const FIRST_GUESS_EVENT_BYTES = 400;
/** A page of small events does not make the next large one a surprise, a hundred of them do. */
const FORGETTING = 0.98;

/** Believed until a page says otherwise. */
export function unknownTraits(): EndpointTraits {
  return { supportsTimeBounds: true, eventBytes: FIRST_GUESS_EVENT_BYTES };
}

export function noteEventBytes(traits: EndpointTraits, page: { servedCount: number; bodyBytes: number }): void {
  if (page.servedCount === 0) return;
  const averageBytes = Math.ceil(page.bodyBytes / page.servedCount);
  traits.eventBytes = Math.max(averageBytes, Math.ceil(traits.eventBytes * FORGETTING));
}
