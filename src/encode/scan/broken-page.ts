/**
 * Reads a page that is not JSON, or not UTF-8, as a whole: finds where its events begin and end, so that what is broken
 * costs itself alone.
 *
 *   {"data":[{…},{…},{.. broken ..},{…},{…}],"meta":{…}}
 *            └──────┘└────────────┘└───────────────────┘
 *             front        gap               rest
 *
 * The front is what reads well from the beginning, the rest what reads well from some border to the end of the body. Damage can make
 * either look longer than it is: a quote too many ends a string early. So the count must agree: the gap has as many events as front and
 * rest lack of what the page says it has, or of what was asked for where more follows, and as many pieces between borders. Damage of
 * two neighbours can undo itself, so each piece must surely be one event, too; where nobody gives a count, and the page cannot be asked
 * for in parts, every element must. Else there is more than one reading, and nothing is taken from the page.
 */
import { createHash } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import type { PageEnvelope, ReadingHints, UnclearEvents } from '../../core/encoded-page.ts';
import {
  areSurelyEvents,
  beginAlike,
  beginsObject,
  endBeforeSpace,
  isOneObject,
  isOnlyCommas,
  mayHideBorder,
  mayOpenList,
  nextBorder,
  type Piece,
  piecesOf,
} from './event-borders.ts';
import type { CompiledPlan } from '../plan/compiled-plan.ts';
import { EventSlices } from './event-slices.ts';
import { CLOSE_BRACKET, COMMA } from './json-bytes.ts';
import { JsonCursor, NotJsonError } from './json-cursor.ts';
import type { BrokenReason, EventRepair, EventSink, EventsList, ScannedPage } from './scanned-page.ts';

/** Bytes that are read in search of the rest, for each byte of the body: a page that takes more is not worth it. */
const MAX_READ_PER_BYTE = 16;

/** An element of the list, and how it was found. */
interface Element extends Piece {
  readonly reason: BrokenReason | null;
  readonly repair: EventRepair['reason'] | null;
  /** It is the broken event that was known before. */
  readonly isKnown: boolean;
}

interface ListEnd {
  /** The closing bracket. */
  readonly close: number;
  readonly envelope: PageEnvelope;
}

/** Elements that read well one after the other. */
interface Run {
  readonly elements: readonly Element[];
  /** Where the list ends, if all that follows it reads well, too. */
  readonly end: ListEnd | null;
  /** Where the element begins that does not read; the end of the list if that is not one. */
  readonly failedAt: number;
}

/** What reads well up to the end of the body. */
interface Rest extends ListEnd {
  readonly at: number;
  readonly elements: readonly Element[];
}

export class BrokenPageReader {
  readonly #body: Uint8Array;
  readonly #list: EventsList;
  readonly #hints: ReadingHints;
  readonly #cursor: JsonCursor;
  readonly #slices: EventSlices;
  #bytesLeft: number;

  constructor(body: Uint8Array, plan: CompiledPlan, list: EventsList, hints: ReadingHints) {
    this.#body = body;
    this.#slices = new EventSlices(plan);
    this.#list = list;
    this.#hints = hints;
    this.#cursor = new JsonCursor(body);
    this.#cursor.takesControls = true;
    this.#bytesLeft = body.length * MAX_READ_PER_BYTE;
  }

  /** @returns what is unclear of its events; `null` when what is around them does not read, or the API ignores limits */
  read(sink: EventSink): ScannedPage | UnclearEvents | null {
    const { leftOutAt } = this.#hints;
    if (leftOutAt !== null) return this.#readTooLarge(leftOutAt, sink);
    const front = this.#run(this.#list.open + 1);
    const rest = front.end === null ? this.#findRest(front.failedAt) : restOf(front.end);
    if (rest === null || !this.#isUtf8Around(rest)) return null;
    const expected = this.#expectedOf(rest.envelope);
    const elements = front.end === null ? this.#join(front, rest, expected) : front.elements;
    if (elements === null) return this.#describeUnclear(front, rest, expected);
    return this.#isLimitIgnored(elements, rest.envelope) ? null : this.#give(elements, rest, sink);
  }

  /** The page of one event that is larger than memory allows: its beginning and its end are there. */
  #readTooLarge(leftOutAt: number, sink: EventSink): ScannedPage | null {
    if (leftOutAt <= this.#list.open || this.#hints.mindsLimit === false) return null;
    const end = this.#findListEnd(leftOutAt);
    if (end === null || !this.#isUtf8Around(end)) return null;
    const event = { ...this.#pieceBehind([], end), reason: 'event-too-large', repair: null, isKnown: true } as const;
    return this.#give([event], end, sink);
  }

  /** Elements from `from` on, until one does not read, or the list ends. */
  #run(from: number): Run {
    const elements: Element[] = [];
    let at = this.#cursor.skipSpace(from);
    for (;;) {
      const element = this.#elementAt(at);
      if (element === null) return { elements, end: null, failedAt: at };
      const behind = this.#cursor.skipSpace(element.end);
      const next = this.#body[behind];
      if (next === COMMA || next === CLOSE_BRACKET) elements.push(element);
      if (next === CLOSE_BRACKET) return { elements, end: this.#listEndAt(behind), failedAt: behind };
      if (next !== COMMA) return { elements, end: null, failedAt: at };
      at = this.#cursor.skipSpace(behind + 1);
    }
  }

  #elementAt(start: number): Element | null {
    const known = this.#hints.brokenEvents.find((event) => this.#isTextAt(event, start));
    if (known !== undefined) {
      return { start, end: start + known.length, reason: 'not-json', repair: null, isKnown: true };
    }
    const { controls } = this.#cursor;
    const end = this.#triedAt(start, () => this.#slices.read(this.#cursor, start));
    if (end === null) return null;
    const reason = isUtf8(this.#body.subarray(start, end)) ? null : 'not-utf-8';
    const repair = this.#cursor.controls > controls ? 'raw-control-characters' : null;
    return { start, end, reason, repair, isKnown: false };
  }

  /** Whether an event of these bytes stands at `start`: what follows must part it from the next one. */
  #isTextAt(text: Uint8Array, start: number): boolean {
    const end = start + text.length;
    if (Buffer.compare(this.#body.subarray(start, end), text) !== 0) return false;
    const next = this.#body[this.#cursor.skipSpace(end)];
    return next === COMMA || next === CLOSE_BRACKET;
  }

  /** The first border from which everything reads well, else the first end of a list. */
  #findRest(from: number): Rest | null {
    const { length } = this.#body;
    for (let at = nextBorder(this.#body, from + 1, length); at !== -1;) {
      const { elements, end, failedAt } = this.#run(at);
      if (end !== null) return { at, elements, ...end };
      this.#bytesLeft -= failedAt - at;
      if (this.#bytesLeft < 0) return null;
      at = nextBorder(this.#body, Math.max(failedAt, at) + 1, length);
    }
    // An event that opens a list can have taken the end of the page's own for its end.
    const end = this.#findListEnd(from) ?? this.#findListEnd(this.#list.open + 1);
    return end === null ? null : restOf(end);
  }

  #findListEnd(from: number): ListEnd | null {
    const body = this.#body;
    for (let at = body.indexOf(CLOSE_BRACKET, from); at !== -1; at = body.indexOf(CLOSE_BRACKET, at + 1)) {
      const end = this.#listEndAt(at);
      if (end !== null) return end;
      this.#bytesLeft -= 1;
      if (this.#bytesLeft < 0) return null;
    }
    return null;
  }

  /** The end of the list, if this is one: then all that follows is the page's own. */
  #listEndAt(close: number): ListEnd | null {
    const envelope = this.#triedAt(close, () => this.#list.envelopeIfClosedAt(close));
    return envelope === null ? null : { close, envelope };
  }

  /** `null` where the bytes from `start` on are no JSON. */
  #triedAt<T>(start: number, read: () => T): T | null {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof NotJsonError)) throw error;
      this.#bytesLeft -= error.at - start;
      return null;
    }
  }

  #isUtf8Around({ close }: ListEnd): boolean {
    return isUtf8(this.#body.subarray(0, this.#list.open)) && isUtf8(this.#body.subarray(close));
  }

  /** How many events the page must have; `null`: nobody says it. */
  #expectedOf({ returned, hasMore }: PageEnvelope): number | null {
    if (this.#hints.countsReturned && returned !== null) return returned;
    return hasMore === true ? this.#hints.limit : null;
  }

  /** All elements, those of the gap included; `null` when there is more than one reading. */
  #join({ elements, failedAt }: Run, rest: Rest, expected: number | null): Element[] | null {
    if (rest.at < failedAt) return null;
    const isAtEnd = rest.elements.length === 0;
    const missing = expected === null ? null : expected - elements.length - rest.elements.length;
    const last = elements.at(-1);
    if (last !== undefined && isOnlyCommas(this.#body, failedAt, rest.at)) {
      if (missing !== null && missing < 0) return null;
      // But for the one that parts them from the next event.
      const end = isAtEnd ? rest.at : endBeforeSpace(this.#body, rest.at) - 1;
      return [...elements.slice(0, -1), withCommas(last, endBeforeSpace(this.#body, end)), ...rest.elements];
    }
    // A page of one event is set apart together with its neighbours, which show where it belongs.
    const { limit, isFixed } = this.#hints;
    if (limit === 1 || (missing === null ? !isFixed : missing < 1)) return null;
    const pieces = piecesOf(this.#body, failedAt, rest.at, isAtEnd, missing ?? Infinity);
    const between = pieces.map((piece) => this.#readPiece(piece));
    const all = [...elements, ...between, ...rest.elements];
    if (missing === null) return areSurelyEvents(this.#body, all) ? all : null;
    const another = elements[0] ?? rest.elements.at(-1);
    const isOne = (piece: Element): boolean => this.#isOneEvent(piece, missing, another, isAtEnd);
    return between.length === missing && between.every(isOne) ? all : null;
  }

  #readPiece({ start, end }: Piece): Element {
    const element = this.#elementAt(start);
    if (element?.end === end) return element;
    // One that lost its end can read on into what follows the list, to the end of the body.
    const isWithin = element !== null && element.end < end;
    if (isWithin && isOnlyCommas(this.#body, element.end, end)) return withCommas(element, end);
    return { start, end, reason: 'not-json', repair: null, isKnown: false };
  }

  /**
   * One event that a border divides, and two that none does, would be as many as are missing. So a piece that is no whole object
   * by its quotes and brackets must be the only one, begin as the events of the page do, and not leave a list of objects open: the
   * border behind it would be one of that list, and what follows no events.
   */
  #isOneEvent(piece: Element, missing: number, another: Element | undefined, isAtEnd: boolean): boolean {
    if (piece.reason !== 'not-json') return true;
    if (!beginsObject(this.#body, piece.start) || mayHideBorder(this.#body, piece)) return false;
    if (isOneObject(this.#body, piece)) return true;
    return missing === 1 && (isAtEnd || !mayOpenList(this.#body, piece)) && beginAlike(this.#body, piece, another);
  }

  /** What was served alone is all of a larger page that is not the last: the API does not mind the limit, so it was not alone. */
  #isLimitIgnored(elements: readonly Element[], { hasMore }: PageEnvelope): boolean {
    return elements.length === 1 && elements[0]?.isKnown === true && this.#hints.limit > 1 && hasMore === true;
  }

  #describeUnclear(front: Run, rest: Rest, expected: number | null): UnclearEvents {
    const { returned, hasMore } = rest.envelope;
    const read = front.elements.length + rest.elements.length;
    // What reads is more than there can be, and the front does not end where an event begins: it ends inside the broken one.
    const isTooLong = expected !== null && read >= expected && !beginsObject(this.#body, front.failedAt);
    const goodBefore = isTooLong ? Math.max(0, expected - 1 - rest.elements.length) : front.elements.length;
    const { limit, mindsLimit, beginsKnown } = this.#hints;
    const known = front.elements.slice(0, 1).filter(({ isKnown }) => beginsKnown === (isKnown ? 'broken' : 'well'));
    // Where more follows, a larger page will show whether it was alone.
    const isOnlyKnown = read === known.length;
    const isAlone =
      returned === limit || mindsLimit === true || (mindsLimit === null && (isOnlyKnown || hasMore === true));
    if (limit !== known.length + 1 || !isAlone) return { goodBefore, read, alone: null };
    const { start, end } = this.#pieceBehind(known, rest);
    return { goodBefore, read, alone: this.#body.slice(start, end) };
  }

  /** All that is in the list behind the events that are known. */
  #pieceBehind([known]: readonly Element[], { close }: ListEnd): Piece {
    const from = known === undefined ? this.#list.open : this.#body.indexOf(COMMA, known.end);
    return { start: this.#cursor.skipSpace(from + 1), end: endBeforeSpace(this.#body, close) };
  }

  #give(elements: readonly Element[], { close, envelope }: ListEnd, sink: EventSink): ScannedPage {
    const hash = createHash('sha256');
    let isDamaged = false;
    for (const [position, { start, end, reason, repair, isKnown }] of elements.entries()) {
      if (reason === null) {
        this.#slices.read(this.#cursor, start);
        if (repair === null) sink.event(this.#slices, position);
        else sink.event(this.#slices, position, { reason: repair, end });
      } else {
        sink.broken(start, end, position, reason);
      }
      if (isKnown || (reason === null && repair === null)) continue;
      hash.update(this.#body.subarray(start, end)).update('\n');
      isDamaged = true;
    }
    const mended = { digest: isDamaged ? hash.digest('hex') : null };
    return { envelope, servedCount: elements.length, mended, list: { start: this.#list.open, end: close + 1 } };
  }
}

function restOf(end: ListEnd): Rest {
  return { at: end.close, elements: [], ...end };
}

/** The element, and the commas behind it. */
function withCommas(element: Element, end: number): Element {
  return { ...element, end, repair: element.repair ?? 'comma-too-many' };
}
