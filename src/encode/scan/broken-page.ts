/**
 * Reads a page that is not JSON, or not UTF-8, as a whole: finds where its events begin and end, so that what is broken
 * costs itself alone.
 *
 *   {"data":[{…},{…},{.. broken ..},{…},{…}],"meta":{…}}
 *            └──────┘└────────────┘└───────────────────┘
 *             front        gap               rest
 *
 * The front is what reads well from the beginning, the rest what reads well from some border to the end of the body: what
 * stands inside a string, or inside an event, does not. Damage can make either of them look longer than it is (a quote too many ends
 * a string early). So the count must agree: the gap has as many events as front and rest lack of what the page says it
 * has, or what was asked for where more follows, and exactly as many pieces between borders, each of which is surely one
 * event. Else there is more than one reading, and nothing is taken from the page.
 */
import { createHash } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import type { PageEnvelope, ReadingHints, UnclearEvents } from '../../core/encoded-page.ts';
import {
  beginsObject,
  isOneObject,
  isOnlyCommas,
  mayHideBorder,
  nextBorder,
  type Piece,
  piecesOf,
  startOfSpace,
} from './event-borders.ts';
import { EventSlices } from './event-slices.ts';
import { CLOSE_BRACKET, COMMA } from './json-bytes.ts';
import { JsonCursor, NotJsonError } from './json-cursor.ts';
import { EnvelopeReader } from './page-envelope.ts';
import { type Element, type ListEnd, type Rest, type Run, restOf, withCommas } from './page-elements.ts';
import { readMembersBehind } from './page-members.ts';
import type { EventSink, ListStart, ScannedPage } from './scanned-page.ts';

/** Bytes that are read in search of the rest, for each byte of the body: a page that takes more is not worth it. */
const MAX_READ_PER_BYTE = 16;

/** @returns what is unclear of its events; `null` when what is around them does not read, or the API ignores limits */
export function readBrokenPage(
  body: Uint8Array,
  list: ListStart,
  sink: EventSink,
  hints: ReadingHints,
): ScannedPage | UnclearEvents | null {
  return new BrokenPageReader(body, list, hints).read(sink);
}

class BrokenPageReader {
  readonly #body: Uint8Array;
  readonly #list: ListStart;
  readonly #hints: ReadingHints;
  readonly #cursor: JsonCursor;
  readonly #slices = new EventSlices();
  #bytesLeft: number;

  constructor(body: Uint8Array, list: ListStart, hints: ReadingHints) {
    this.#body = body;
    this.#list = list;
    this.#hints = hints;
    this.#cursor = new JsonCursor(body);
    this.#bytesLeft = body.length * MAX_READ_PER_BYTE;
  }

  read(sink: EventSink): ScannedPage | UnclearEvents | null {
    if (this.#hints.leftOutAt !== null) return this.#readTooLarge(this.#hints.leftOutAt, sink);
    const front = this.#run(this.#list.open + 1);
    const rest = front.end === null ? this.#findRest(front.failedAt) : restOf(front.failedAt, front.end);
    if (rest === null || !this.#isUtf8Around(rest.end.at)) return null;
    const members = [...this.#list.members, ...rest.end.members];
    const envelope = new EnvelopeReader(this.#body, members).read();
    const expected = this.#expectedOf(envelope);
    const elements = front.end === null ? this.#join(front, rest, expected) : front.elements;
    if (elements === null) return this.#describeUnclear(front, rest, envelope, expected);
    return this.#isLimitIgnored(elements, envelope) ? null : this.#give(elements, envelope, sink);
  }

  /** The page of one event that is larger than memory allows: its beginning and its end are there. */
  #readTooLarge(leftOutAt: number, sink: EventSink): ScannedPage | null {
    const end = this.#list.open < leftOutAt && this.#hints.mindsLimit !== false ? this.#findListEnd(leftOutAt) : null;
    if (end === null || !this.#isUtf8Around(end.at)) return null;
    const envelope = new EnvelopeReader(this.#body, [...this.#list.members, ...end.members]).read();
    const start = this.#cursor.skipSpace(this.#list.open + 1);
    const reason = 'event-too-large';
    const event = { start, end: startOfSpace(this.#body, end.at), reason, repair: null, isKnown: true } as const;
    return this.#give([event], envelope, sink);
  }

  /** Elements from `from` on, until one does not read, or the list ends. */
  #run(from: number): Run {
    const { bytes } = this.#cursor;
    const elements: Element[] = [];
    let start = this.#cursor.skipSpace(from);
    for (;;) {
      let readTo = start;
      try {
        const element = this.#elementAt(start);
        readTo = this.#cursor.skipSpace(element.end);
        const next = bytes[readTo];
        if (next === COMMA || next === CLOSE_BRACKET) elements.push(element);
        if (next === CLOSE_BRACKET) return { elements, end: this.#listEndAt(readTo), failedAt: readTo, readTo };
        if (next !== COMMA) return { elements, end: null, failedAt: start, readTo };
      } catch (error) {
        if (!(error instanceof NotJsonError)) throw error;
        return { elements, end: null, failedAt: start, readTo: error.at };
      }
      start = this.#cursor.skipSpace(readTo + 1);
    }
  }

  /** @throws NotJsonError */
  #elementAt(start: number): Element {
    const known = this.#hints.brokenEvent;
    if (known !== null && this.#isTextAt(known, start)) {
      return { start, end: start + known.length, reason: 'not-json', repair: null, isKnown: true };
    }
    const cursor = this.#cursor;
    cursor.takesControls = true;
    const before = cursor.controls;
    try {
      const end = this.#slices.read(cursor, start);
      const reason = isUtf8(this.#body.subarray(start, end)) ? null : 'not-utf-8';
      return { start, end, reason, repair: cursor.controls > before ? 'raw-control-characters' : null, isKnown: false };
    } finally {
      cursor.takesControls = false;
    }
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
    const { bytes } = this.#cursor;
    for (let at = nextBorder(bytes, from + 1, bytes.length); at !== -1;) {
      const run = this.#run(at);
      if (run.end !== null) return { at, elements: run.elements, end: run.end };
      this.#bytesLeft -= run.readTo - at;
      if (this.#bytesLeft < 0) return null;
      at = nextBorder(bytes, Math.max(run.failedAt, at) + 1, bytes.length);
    }
    // An event that opens a list can have taken the end of the page's own for its end.
    const end = this.#findListEnd(from) ?? this.#findListEnd(this.#list.open + 1);
    return end === null ? null : restOf(end.at, end);
  }

  #findListEnd(from: number): ListEnd | null {
    const { bytes } = this.#cursor;
    for (let at = bytes.indexOf(CLOSE_BRACKET, from); at !== -1; at = bytes.indexOf(CLOSE_BRACKET, at + 1)) {
      const end = this.#listEndAt(at);
      if (end !== null) return end;
      this.#bytesLeft -= 1;
      if (this.#bytesLeft < 0) return null;
    }
    return null;
  }

  /** The end of the list, if `at` is one: then all that follows is the page's own. */
  #listEndAt(at: number): ListEnd | null {
    try {
      return { at, members: readMembersBehind(this.#cursor, at + 1, this.#list.depth) };
    } catch (error) {
      if (!(error instanceof NotJsonError)) throw error;
      this.#bytesLeft -= error.at - at;
      return null;
    }
  }

  #isUtf8Around(listEnd: number): boolean {
    return isUtf8(this.#body.subarray(0, this.#list.open)) && isUtf8(this.#body.subarray(listEnd));
  }

  /** How many events the page must have; `null`: nobody says it. */
  #expectedOf({ returned, hasMore }: PageEnvelope): number | null {
    if (this.#hints.countsReturned && returned !== null) return returned;
    return hasMore === true ? this.#hints.limit : null;
  }

  /** All elements, those of the gap included; `null` when there is more than one reading. */
  #join(front: Run, rest: Rest, expected: number | null): Element[] | null {
    const { elements, failedAt } = front;
    if (rest.at < failedAt) return null;
    const missing = expected === null ? null : expected - elements.length - rest.elements.length;
    const last = elements.at(-1);
    if (last !== undefined && isOnlyCommas(this.#body, failedAt, rest.at)) {
      if (missing !== null && missing < 0) return null;
      // But for the one that parts them from the next event.
      const end = rest.elements.length === 0 ? rest.at : startOfSpace(this.#body, rest.at) - 1;
      return [...elements.slice(0, -1), withCommas(last, startOfSpace(this.#body, end)), ...rest.elements];
    }
    // A page of one event is set apart together with its neighbours, which show where it belongs.
    if (missing === null || missing < 1 || this.#hints.limit === 1) return null;
    const pieces = piecesOf(this.#body, failedAt, rest.at, rest.elements.length === 0, missing);
    if (pieces.length !== missing) return null;
    const between = pieces.map((piece) => this.#readPiece(piece));
    return between.every((piece) => this.#isOneEvent(piece, missing))
      ? [...elements, ...between, ...rest.elements]
      : null;
  }

  /** One event that a border divides, and two that none does, would be as many as are missing. */
  #isOneEvent(piece: Element, missing: number): boolean {
    if (piece.reason !== 'not-json') return true;
    if (!beginsObject(this.#body, piece.start) || mayHideBorder(this.#body, piece)) return false;
    return missing === 1 || isOneObject(this.#body, piece);
  }

  #readPiece({ start, end }: Piece): Element {
    const broken: Element = { start, end, reason: 'not-json', repair: null, isKnown: false };
    try {
      const element = this.#elementAt(start);
      if (element.end === end) return element;
      return isOnlyCommas(this.#body, element.end, end) ? withCommas(element, end) : broken;
    } catch (error) {
      if (!(error instanceof NotJsonError)) throw error;
      return broken;
    }
  }

  /** What was served alone is all of a larger page that is not the last: the API does not mind the limit, so it was not alone. */
  #isLimitIgnored(elements: readonly Element[], { hasMore }: PageEnvelope): boolean {
    return elements.length === 1 && elements[0]?.isKnown === true && this.#hints.limit > 1 && hasMore === true;
  }

  #describeUnclear(
    front: Run,
    rest: Rest,
    { returned, hasMore }: PageEnvelope,
    expected: number | null,
  ): UnclearEvents {
    const read = front.elements.length + rest.elements.length;
    // What reads is more than there can be, and the front does not end where an event begins: it ends inside the broken one.
    const isTooLong = expected !== null && read >= expected && !beginsObject(this.#body, front.failedAt);
    const goodBefore = isTooLong ? Math.max(0, expected - 1 - rest.elements.length) : front.elements.length;
    const { limit, mindsLimit } = this.#hints;
    // Where more follows, a larger page will show whether it was alone.
    const isAlone = returned === 1 || mindsLimit === true || (mindsLimit === null && (read === 0 || hasMore === true));
    if (limit !== 1 || !isAlone) return { goodBefore, alone: null };
    const start = this.#cursor.skipSpace(this.#list.open + 1);
    return { goodBefore, alone: this.#body.slice(start, startOfSpace(this.#body, rest.end.at)) };
  }

  #give(elements: readonly Element[], envelope: PageEnvelope, sink: EventSink): ScannedPage {
    const cursor = this.#cursor;
    const hash = createHash('sha256');
    let isDamaged = false;
    cursor.takesControls = true;
    for (const [position, { start, end, reason, repair, isKnown }] of elements.entries()) {
      if (reason === null) {
        this.#slices.read(cursor, start);
        if (repair === null) sink.event(this.#slices, position);
        else sink.event(this.#slices, position, { reason: repair, end });
      } else {
        sink.broken(start, end, position, reason);
      }
      if (isKnown || (reason === null && repair === null)) continue;
      hash.update(this.#body.subarray(start, end)).update('\n');
      isDamaged = true;
    }
    return {
      envelope,
      servedCount: elements.length,
      mended: {
        digest: isDamaged ? hash.digest('hex') : null,
        starts: elements.map(({ start }) => start),
        ends: elements.map(({ end }) => end),
      },
    };
  }
}
