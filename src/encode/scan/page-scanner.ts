import { isUtf8 } from 'node:buffer';

import type { FaultyPage, PageEnvelope } from '../../core/encoded-page.ts';
import { EventSlices } from './event-slices.ts';
import { CLOSE_BRACE, CLOSE_BRACKET, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-bytes.ts';
import { JsonCursor, NotJsonError } from './json-cursor.ts';
import { decodeToString } from './json-strings.ts';
import { EnvelopeReader } from './page-envelope.ts';

/** Takes the elements of a page's events array, one after the other, in serving order. */
export interface EventSink {
  /** `slices` is filled again for the next event: keep nothing of it. Position counts from 0. */
  event(slices: EventSlices, position: number): void;
  /** Forget all events, positions start again: they were not the page's (a doubled key, `events` before `data`). */
  restart(): void;
}

/** Why a body is no page: everything of FaultyPage but the body. */
export type PageFault = Pick<FaultyPage, 'fault' | 'detail' | 'apiCode'>;

export interface ScannedPage {
  readonly envelope: PageEnvelope;
  /** Elements of the events array. */
  readonly servedCount: number;
}

/**
 * Reads one page: strict JSON in UTF-8, an object with an array of events under `data` or `events`, the envelope around
 * it in any order. When a fault is returned, what the sink built of the events so far is worthless.
 */
export function scanPage(body: Uint8Array, sink: EventSink): ScannedPage | PageFault {
  const validUtf8 = isUtf8(body);
  try {
    const page = new PageScanner(body, sink).scan();
    if (validUtf8) return page;
  } catch (error) {
    if (!(error instanceof NotJsonError)) throw error;
    return faultOf(error, body);
  }
  return { fault: 'not-json', detail: 'The body is not valid UTF-8.', apiCode: null };
}

function faultOf(error: NotJsonError, body: Uint8Array): PageFault {
  if (body.length === 0) return { fault: 'cut-body', detail: 'The body is empty.', apiCode: null };
  if (error.cut) {
    const detail = `The body ends after ${body.length} bytes where ${error.expected} had to come.`;
    return { fault: 'cut-body', detail, apiCode: null };
  }
  // Printable ASCII only: an excerpt must break neither the log line nor a character.
  const excerpt = [...body.subarray(error.at, error.at + 20)]
    .map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'))
    .join('');
  return {
    fault: 'not-json',
    detail: `Expected ${error.expected} at byte ${error.at} of ${body.length}, got '${excerpt}'.`,
    apiCode: null,
  };
}

/** Keys of the events. A key of a higher rank takes over from one of a lower, a list with events from an empty one. */
const EVENTS_RANK = new Map([
  ['data', 2],
  ['events', 1],
]);

class PageScanner {
  readonly #cursor: JsonCursor;
  readonly #sink: EventSink;
  readonly #envelope: EnvelopeReader;
  readonly #slices = new EventSlices();
  /** Rank of the key that the events came under, 0: none so far. */
  #rank = 0;
  #servedCount = 0;

  constructor(body: Uint8Array, sink: EventSink) {
    this.#cursor = new JsonCursor(body);
    this.#sink = sink;
    this.#envelope = new EnvelopeReader(body);
  }

  scan(): ScannedPage | PageFault {
    const cursor = this.#cursor;
    const start = cursor.skipSpace(lengthOfByteOrderMark(cursor.bytes));
    const isObject = cursor.bytes[start] === OPEN_BRACE;
    const end = cursor.skipSpace(isObject ? this.#readDocument(start) : cursor.endOfValue(start, 0));
    if (end !== cursor.bytes.length) cursor.fail(end, 'the end of the body');
    // An empty page that carries an error would otherwise end a walk as if the API had nothing more.
    if (this.#servedCount === 0 && this.#envelope.hasError(this.#rank > 0)) return this.#errorObject();
    if (this.#rank > 0) return { envelope: this.#envelope.read(), servedCount: this.#servedCount };
    const found = isObject ? 'an object without an array "data" or "events"' : 'JSON that is not an object';
    return { fault: 'no-events', detail: `Expected a page of events, got ${found}.`, apiCode: null };
  }

  #errorObject(): PageFault {
    const apiCode = this.#envelope.apiCode();
    const detail = `The API answered with an error object instead of events: ${this.#envelope.errorText()}`;
    return { fault: 'error-object', detail, apiCode };
  }

  #readDocument(open: number): number {
    const cursor = this.#cursor;
    const bytes = cursor.bytes;
    let at = cursor.skipSpace(open + 1);
    if (bytes[at] === CLOSE_BRACE) return at + 1;
    for (;;) {
      if (bytes[at] !== QUOTE) cursor.fail(at, 'a key');
      const keyEnd = cursor.endOfString(at + 1);
      // A page has few keys of its own, so this may be slow.
      const key = decodeToString(bytes, at + 1, keyEnd);
      const valueStart = cursor.startAfterColon(keyEnd + 1);
      at = this.#readMember(key, valueStart);
      at = cursor.skipSpace(at);
      if (bytes[at] === CLOSE_BRACE) return at + 1;
      if (bytes[at] !== COMMA) cursor.fail(at, 'a comma or }');
      at = cursor.skipSpace(at + 1);
    }
  }

  #readMember(key: string, start: number): number {
    const cursor = this.#cursor;
    const rank = EVENTS_RANK.get(key);
    const isArray = cursor.bytes[start] === OPEN_BRACKET;
    // One of two lists would be lost.
    if (rank !== undefined && rank === this.#rank && this.#servedCount > 0) cursor.fail(start, `"${key}" once`);
    const isEmpty = isArray && cursor.bytes[cursor.skipSpace(start + 1)] === CLOSE_BRACKET;
    if (rank !== undefined && isArray && (this.#servedCount === 0 || (rank > this.#rank && !isEmpty))) {
      this.#forgetEvents();
      this.#rank = rank;
      return this.#readEvents(start);
    }
    const end = cursor.endOfValue(start, 0);
    // As in JSON.parse the last of doubled keys counts, even if it is no array.
    if (rank !== undefined && rank === this.#rank && !isArray) this.#forgetEvents();
    this.#envelope.add(key, start, end);
    return end;
  }

  #forgetEvents(): void {
    if (this.#rank > 0) this.#sink.restart();
    this.#rank = 0;
    this.#servedCount = 0;
  }

  #readEvents(open: number): number {
    const cursor = this.#cursor;
    const bytes = cursor.bytes;
    const slices = this.#slices;
    let at = cursor.skipSpace(open + 1);
    if (bytes[at] === CLOSE_BRACKET) return at + 1;
    for (;;) {
      at = slices.read(cursor, at);
      this.#sink.event(slices, this.#servedCount);
      this.#servedCount += 1;
      at = cursor.skipSpace(at);
      if (bytes[at] === CLOSE_BRACKET) return at + 1;
      if (bytes[at] !== COMMA) cursor.fail(at, 'a comma or ]');
      at = cursor.skipSpace(at + 1);
    }
  }
}

/** RFC 8259, section 8.1: a parser may ignore a byte order mark. Some proxies add one. */
function lengthOfByteOrderMark(bytes: Uint8Array): number {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
}
