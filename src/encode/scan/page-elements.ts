/** The elements of a list of events, and how they were found. */
import type { Piece } from './event-borders.ts';
import type { PageMember } from './page-members.ts';
import type { BrokenReason, EventRepair } from './scanned-page.ts';

export interface Element extends Piece {
  readonly reason: BrokenReason | null;
  readonly repair: EventRepair['reason'] | null;
  /** It is the broken event that was known before. */
  readonly isKnown: boolean;
}

/** Elements that read well one after the other. */
export interface Run {
  readonly elements: Element[];
  /** Where the list ends, if all that follows it reads well, too. */
  readonly end: ListEnd | null;
  /** Where the element begins that does not read; the end of the list if that is not one. */
  readonly failedAt: number;
  /** How far the bytes were read. */
  readonly readTo: number;
}

export interface ListEnd {
  /** The closing bracket. */
  readonly at: number;
  readonly members: readonly PageMember[];
}

/** What reads well up to the end of the body. */
export interface Rest {
  readonly at: number;
  readonly elements: readonly Element[];
  readonly end: ListEnd;
}

/** The element, and the commas behind it. */
export function withCommas(element: Element, end: number): Element {
  return { ...element, end, repair: element.repair ?? 'comma-too-many' };
}

export function restOf(at: number, end: ListEnd): Rest {
  return { at, elements: [], end };
}
