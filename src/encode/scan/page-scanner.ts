import { isUtf8 } from 'node:buffer';

import type { PageEnvelope, ReadingHints } from '../../core/encoded-page.ts';
import { type CompiledPlan, DATASYNC, type PagePlace } from '../plan/compiled-plan.ts';
import { BrokenPageReader } from './broken-page.ts';
import { EventSlices } from './event-slices.ts';
import { CLOSE_BRACKET, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-bytes.ts';
import { JsonCursor, NotJsonError } from './json-cursor.ts';
import { decodeToString } from './json-strings.ts';
import { EnvelopeReader, SAYS_NOTHING, isEnvelopeKey, type PageMember } from './page-envelope.ts';
import type { EventSink, EventsList, PageFault, ScannedPage } from './scanned-page.ts';

const FIRST_OF_NULL = 0x6e;

const SAYS_WHAT_FOLLOWS = new Set(['pagination', 'hasMore', 'has_more', 'nextCursor', 'next_cursor']);

const NO_HINTS: ReadingHints = {
  limit: Infinity,
  countsReturned: true,
  mindsLimit: null,
  brokenEvents: [],
  beginsKnown: false,
  isFixed: false,
  leftOutAt: null,
};
const NO_SINK: EventSink = { event: () => undefined, broken: () => undefined, restart: () => undefined };

/**
 * Reads one page: strict JSON in UTF-8, with an array of events where the plan says that it may be, and the envelope around
 * it in any order. A page that is not JSON as a whole is read event by event, if
 * that can be done in one way only (broken-page.ts). When a fault is returned, what the sink built so far is worthless.
 */
export function scanPage(
  body: Uint8Array,
  sink: EventSink,
  hints = NO_HINTS,
  plan = DATASYNC,
): ScannedPage | PageFault {
  const scanner = new PageScanner(body, plan, sink);
  let fault: PageFault = { fault: 'not-json', detail: 'The body is not valid UTF-8.', apiCode: null };
  try {
    const page = scanner.scan();
    if (hints.leftOutAt === null && isUtf8(body)) return page;
  } catch (error) {
    if (!(error instanceof NotJsonError)) throw error;
    fault = faultOf(error, body);
  }
  if (scanner.list === null) return fault;
  sink.restart();
  const page = new BrokenPageReader(body, plan, scanner.list, hints).read(sink);
  if (page === null) return fault;
  return 'envelope' in page ? page : { ...fault, unclear: page };
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
  const detail = `Expected ${error.expected} at byte ${error.at} of ${body.length}, got '${excerpt}'.`;
  return { fault: 'not-json', detail, apiCode: null };
}

class PageScanner {
  list: EventsList | null = null;
  readonly #cursor: JsonCursor;
  readonly #sink: EventSink;
  /** A list of events that is passed over. */
  readonly #known: { readonly open: number; readonly close: number } | null;
  readonly #plan: CompiledPlan;
  readonly #slices: EventSlices;
  readonly #members: PageMember[] = [];
  /** Rank of the key that the events came under, 0: none so far. */
  #rank = 0;
  #servedCount = 0;
  /** Bytes of the list that the events are in. */
  #listBytes: Uint8Array = new Uint8Array();
  /** What was said of the page already, and how deep. */
  readonly #said = new Set<string>();
  /** The key of the events has a null in place of a list. */
  #hasNullList = false;
  /** Something that the page may have in place of a list of events, under a key that means nothing here. */
  #hasOtherContents = false;

  constructor(
    body: Uint8Array,
    plan: CompiledPlan,
    sink: EventSink,
    known: { readonly open: number; readonly close: number } | null = null,
  ) {
    this.#cursor = new JsonCursor(body);
    this.#plan = plan;
    this.#slices = new EventSlices(plan);
    this.#sink = sink;
    this.#known = known;
  }

  scan(): ScannedPage | PageFault {
    const isObject = this.#readPage();
    const found = { servedCount: this.#servedCount, mended: null, list: this.#rank > 0 ? this.#listPlace : null };
    if (this.#plan.plan.envelope === 'quoted') return { envelope: SAYS_NOTHING, ...found };
    const envelope = new EnvelopeReader(this.#cursor.bytes, this.#members);
    // An empty page that carries an error would otherwise end a walk as if the API had nothing more.
    if (this.#servedCount === 0 && envelope.hasError(this.#rank > 0 || this.#hasNullList)) return errorObject(envelope);
    const read = envelope.read();
    // An empty page in other words.
    const isEmpty = isObject && read.hasMore === false && !this.#hasOtherContents;
    if (this.#rank > 0 || isEmpty) return { envelope: read, ...found };
    const detail = `Expected a page of events, got ${withoutEvents(isObject, this.#plan)}.`;
    return { fault: 'no-events', detail, apiCode: null };
  }

  /** @returns whether the body is an object */
  #readPage(): boolean {
    const cursor = this.#cursor;
    const { page } = this.#plan;
    const start = cursor.skipSpace(lengthOfByteOrderMark(cursor.bytes));
    const isObject = cursor.bytes[start] === OPEN_BRACE;
    let end: number;
    if (isObject) end = this.#readMembers(start, page, 1);
    else if (page.rank > 0 && cursor.bytes[start] === OPEN_BRACKET) end = this.#readList(start, page.rank);
    else end = cursor.endOfValue(start, 0);
    end = cursor.skipSpace(end);
    if (end !== cursor.bytes.length) cursor.fail(end, 'the end of the body');
    return isObject;
  }

  #readMembers(open: number, place: PagePlace, depth: number): number {
    const cursor = this.#cursor;
    let at = cursor.nextMember(open + 1, true);
    while (cursor.bytes[at] === QUOTE) at = cursor.nextMember(this.#readMember(at, place, depth), false);
    return at + 1;
  }

  #readMember(keyStart: number, around: PagePlace, depth: number): number {
    const cursor = this.#cursor;
    const keyEnd = cursor.endOfString(keyStart + 1);
    const key = decodeToString(cursor.bytes, keyStart + 1, keyEnd);
    const start = cursor.startAfterColon(keyEnd + 1);
    const place = around.inside.get(key);
    const rank = place?.rank ?? 0;
    const first = cursor.bytes[start];
    const isArray = first === OPEN_BRACKET;
    if (rank > 0 && this.#isPastKnown()) cursor.fail(start, 'one list of events');
    // One of two lists would be lost.
    if (rank > 0 && rank === this.#rank && this.#servedCount > 0) cursor.fail(start, `"${key}" once`);
    // As in JSON.parse the last of doubled keys counts, even if it is no array.
    if (rank > 0 && rank === this.#rank && !isArray) this.#forgetEvents();
    if (place !== undefined && place.inside.size > 0 && first === OPEN_BRACE)
      return this.#readWrapped(start, place, depth + 1);
    const inside = isArray ? cursor.bytes[cursor.skipSpace(start + 1)] : undefined;
    const isEmpty = inside === CLOSE_BRACKET;
    if (rank > 0 && inside === OPEN_BRACE && this.#hasObjects) return this.#passSecondList(start);
    if (rank > 0 && isArray && (this.#servedCount === 0 || (rank > this.#rank && !isEmpty))) {
      this.#forgetEvents();
      return this.#readList(start, rank);
    }
    const end = cursor.endOfValue(start, 0);
    // An event that is not escaped may end the list, and speak for the page.
    const said = `${depth} ${key}`;
    if (this.#isBehindEvents && SAYS_WHAT_FOLLOWS.has(key) && this.#said.has(said))
      cursor.fail(keyStart, `"${key}" once`);
    this.#said.add(said);
    if (isEnvelopeKey(key)) this.#members.push({ key, start, end });
    else if (rank > 0 && first === FIRST_OF_NULL) this.#hasNullList = true;
    else if (isArray || first === OPEN_BRACE) this.#hasOtherContents = true;
    return end;
  }

  #readList(start: number, rank: number): number {
    this.#rank = rank;
    const end = this.#readEvents(start);
    this.#listBytes = this.#cursor.bytes.subarray(start, end);
    return end;
  }

  /** An object that has the list, with the envelope's members in it or around it. */
  #readWrapped(open: number, place: PagePlace, depth: number): number {
    const rank = this.#rank;
    const { length } = this.#members;
    const end = this.#readMembers(open, place, depth);
    if (this.#rank === rank && !this.#hasNullList) {
      // No page: what it says is nothing about the events.
      this.#members.length = length;
      this.#hasOtherContents = true;
    }
    return end;
  }

  get #listPlace(): { readonly start: number; readonly end: number } {
    const start = this.#listBytes.byteOffset - this.#cursor.bytes.byteOffset;
    return { start, end: start + this.#listBytes.length };
  }

  /** Whether the list so far has events, and not only something else. */
  get #hasObjects(): boolean {
    const { bytes } = this.#cursor;
    return (
      this.#servedCount > 0 && this.list !== null && bytes[this.#cursor.skipSpace(this.list.open + 1)] === OPEN_BRACE
    );
  }

  /** Events under another key: they are the same ones, or those of one list would be lost. */
  #passSecondList(start: number): number {
    const cursor = this.#cursor;
    const end = cursor.endOfValue(start, 0);
    const { length } = this.#listBytes;
    const isSame = end - start === length && Buffer.compare(this.#listBytes, cursor.bytes.subarray(start, end)) === 0;
    if (!isSame) cursor.fail(start, 'one list of events');
    return end;
  }

  #forgetEvents(): void {
    if (this.#rank > 0) this.#sink.restart();
    this.#rank = 0;
    this.#servedCount = 0;
  }

  #readEvents(open: number): number {
    this.list = { open, envelopeIfClosedAt: (close) => this.#envelopeIfClosed(open, close) };
    if (open === this.#known?.open) return this.#known.close + 1;
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

  get #isBehindEvents(): boolean {
    return this.#servedCount > 0 || this.#isPastKnown();
  }

  #isPastKnown(): boolean {
    return this.#known !== null && this.list?.open === this.#known.open;
  }

  #envelopeIfClosed(open: number, close: number): PageEnvelope {
    const around = new PageScanner(this.#cursor.bytes, this.#plan, NO_SINK, { open, close });
    around.#readPage();
    if (this.#plan.plan.envelope === 'quoted') return SAYS_NOTHING;
    return new EnvelopeReader(this.#cursor.bytes, around.#members).read();
  }
}

function errorObject(envelope: EnvelopeReader): PageFault {
  const apiCode = envelope.apiCode();
  const detail = `The API answered with an error object instead of events: ${envelope.errorText()}`;
  return { fault: 'error-object', detail, apiCode };
}

/** What came instead of a page: half a sentence. */
function withoutEvents(isObject: boolean, { page }: CompiledPlan): string {
  const names = [...listNames(page, [])].map((name) => `"${name}"`).join(' or ');
  if (isObject) return names === '' ? 'an object' : `an object without an array ${names}`;
  return page.rank > 0 ? 'JSON that is not an array' : 'JSON that is not an object';
}

/** The outermost places where the list may be. */
function listNames({ inside }: PagePlace, path: readonly string[]): string[] {
  return [...inside].flatMap(([key, place]) =>
    place.rank > 0 ? [[...path, key].join('.')] : listNames(place, [...path, key]),
  );
}

/** RFC 8259, section 8.1: a parser may ignore a byte order mark. Some proxies add one. */
function lengthOfByteOrderMark(bytes: Uint8Array): number {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
}
