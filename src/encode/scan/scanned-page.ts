/** What a page is read into. Types only. */
import type { FaultyPage, MendedPage, PageEnvelope } from '../../core/encoded-page.ts';
import type { EventSlices } from './event-slices.ts';

/** Why an event has no reading. */
export type BrokenReason = 'not-json' | 'not-utf-8' | 'event-too-large';

/** What was passed over to read an event; `end` is where its bytes end with that. */
export interface EventRepair {
  readonly reason: 'raw-control-characters' | 'comma-too-many';
  readonly end: number;
}

/** Takes the elements of a page's events array, one after the other, in serving order. */
export interface EventSink {
  /** `slices` is filled again for the next event: keep nothing of it. Position counts from 0. */
  event(slices: EventSlices, position: number, repair?: EventRepair): void;
  /** The next element is `body[start, end)`, and cannot be read. */
  broken(start: number, end: number, position: number, reason: BrokenReason): void;
  /** Forget all events, positions start again: they were not the page's (a doubled key, `events` before `data`). */
  restart(): void;
}

/** Why a body is no page: everything of FaultyPage but the body. */
export type PageFault = Pick<FaultyPage, 'fault' | 'detail' | 'apiCode' | 'unclear'>;

export interface ScannedPage {
  readonly envelope: PageEnvelope;
  /** Elements of the events array. */
  readonly servedCount: number;
  /** `null` for a page that is JSON as a whole. */
  readonly mended: MendedPage | null;
  /** Where the list begins and ends, its brackets included; `null`: there is none. */
  readonly list: { readonly start: number; readonly end: number } | null;
}

/** The list of events that is being read, or was read last. */
export interface EventsList {
  /** Its opening bracket. */
  readonly open: number;
  /** What the page says of itself if its list ends at this bracket. @throws NotJsonError if it is no page then */
  readonly envelopeIfClosedAt: (close: number) => PageEnvelope;
}
