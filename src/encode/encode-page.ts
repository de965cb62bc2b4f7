import type {
  EncodedPage,
  IdSample,
  MendedPage,
  PageAnomaly,
  ReadingHints,
  SampledPage,
} from '../core/encoded-page.ts';
import { REJECTED_REASONS } from './rows/anomaly-reasons.ts';
import { CopyWriter } from './rows/copy-writer.ts';
import { EventEncoder, type EventEncoderOptions, idOf } from './rows/event-encoder.ts';
import { FieldText } from './rows/field-texts.ts';
import { readPlaces } from './rows/page-places.ts';
import { PageTimesTracker } from './rows/page-times.ts';
import { EventSlices } from './scan/event-slices.ts';
import { FIELD, ID_FIELDS, isString, NO_FIELD } from './scan/fields.ts';
import { isUsualUuid, writeUuid } from './scan/ids.ts';
import { JsonCursor } from './scan/json-cursor.ts';
import { scanPage } from './scan/page-scanner.ts';
import type { EventSink, PageFault, ScannedPage } from './scan/scanned-page.ts';

/**
 * Rows take about half of their page's bytes, more when `extra` is used. A buffer that is too small costs a copy, one
 * that is too large costs only address space.
 */
const ROWS_PER_BODY_BYTE = 0.75;
/** How many events decide the types of the id columns. */
const SAMPLE_EVENTS = 100;

export type PageEncoding = Omit<EncodedPage, 'body' | 'bodyBytes' | 'decodeMs' | 'encodeMs'>;
type PageSample = Omit<SampledPage, 'body' | 'bodyBytes'>;

/** One event, as its page served it. */
type QuotedEvent = Pick<PageAnomaly, 'position' | 'eventId' | 'original'>;

export interface PageOptions extends EventEncoderOptions {
  /** For a page that is not JSON as a whole. */
  readonly hints?: ReadingHints;
}

/**
 * A page's JSON → a complete binary COPY stream. Pure: `body` is only read, and the anomalies' `original` are views of
 * it. `rows` is `spare` if that is large enough, else a new ArrayBuffer.
 */
export function encodePage(body: Uint8Array, options: PageOptions, spare?: ArrayBuffer): PageEncoding | PageFault {
  const writer = new CopyWriter(body, likelyRowsBytes(body.byteLength), spare);
  const encoder = new EventEncoder(body, writer, options);
  const page = scanPage(body, encoder, options.hints);
  if ('fault' in page) return page;
  return {
    status: 'encoded',
    ...writer.finish(),
    idColumnTypes: options.idColumnTypes,
    servedCount: page.servedCount,
    rejectedCount: encoder.rejectedCount,
    repairedCount: encoder.repairedCount,
    anomalies: encoder.anomalies,
    envelope: page.envelope,
    times: encoder.times.read(),
    places: readPlaces(body, encoder.times, options),
    mended: mendedOf(page),
  };
}

function mendedOf({ mended }: ScannedPage): MendedPage | null {
  if (mended === null) return null;
  const { digest, starts, ends } = mended;
  return { digest, starts: Uint32Array.from(starts), ends: Uint32Array.from(ends) };
}

/** Size of the buffer that the rows of a page of `bodyBytes` are begun in. */
export function likelyRowsBytes(bodyBytes: number): number {
  return Math.ceil(bodyBytes * ROWS_PER_BODY_BYTE);
}

/** Counts strings, and UUIDs in their usual spelling, among the ids of the first (newest) events of a page. */
export function samplePage(body: Uint8Array, hints?: ReadingHints): PageSample | PageFault {
  const sampler = new IdSampler(body);
  const page = scanPage(body, sampler, hints);
  return 'fault' in page ? page : { status: 'sampled', ...sampler.counts };
}

/**
 * The exact bytes of the events at `positions`, in serving order; for events that PostgreSQL refused. Positions that
 * the page does not have are left out. `body` is a page that was encoded before: throws TypeError if it is none.
 * @param mended how it was read then
 */
export function quoteEvents(
  body: Uint8Array,
  positions: Iterable<number>,
  mended: Pick<MendedPage, 'starts' | 'ends'> | null = null,
): QuotedEvent[] {
  if (mended !== null) return quoteMended(body, positions, mended);
  const { page, quoted } = scanQuoting(body, new Set(positions));
  if ('fault' in page) throw new TypeError(`Cannot quote events of a body that is no page. ${page.detail}`);
  return quoted;
}

function quoteMended(
  body: Uint8Array,
  positions: Iterable<number>,
  { starts, ends }: Pick<MendedPage, 'starts' | 'ends'>,
): QuotedEvent[] {
  const cursor = new JsonCursor(body);
  cursor.takesControls = true;
  const slices = new EventSlices();
  return [...new Set(positions)]
    .filter((position) => position < starts.length)
    .sort((a, b) => a - b)
    .map((position) => {
      const start = starts[position] ?? 0;
      // It had a row, so it is an event.
      slices.read(cursor, start);
      return { position, eventId: idOf(body, slices), original: body.subarray(start, ends[position]) };
    });
}

/**
 * Rejects the event of a page that no worker survives, without converting anything, so that it costs one event and not
 * the job. Null: the page has more events than one, or none, so which of them it is is not known.
 */
export function setAsideEvent(body: Uint8Array): PageEncoding | PageFault | null {
  const { page, quoted } = scanQuoting(body, new Set([0]));
  if ('fault' in page) return page;
  const [only] = quoted;
  if (only === undefined || page.servedCount !== 1) return null;
  const tracker = new PageTimesTracker();
  tracker.add(Number.NaN, only.original.byteOffset - body.byteOffset);
  return {
    status: 'encoded',
    ...new CopyWriter(body, 0).finish(),
    idColumnTypes: null,
    servedCount: 1,
    rejectedCount: 1,
    repairedCount: 0,
    anomalies: [{ ...only, kind: 'rejected', field: 'event', reason: REJECTED_REASONS.workerDied }],
    envelope: page.envelope,
    times: null,
    places: readPlaces(body, tracker, {}),
    mended: null,
  };
}

function scanQuoting(
  body: Uint8Array,
  positions: ReadonlySet<number>,
): { readonly page: ScannedPage | PageFault; readonly quoted: QuotedEvent[] } {
  const quoted: QuotedEvent[] = [];
  const page = scanPage(body, {
    event(slices, position) {
      if (!positions.has(position)) return;
      quoted.push({ position, eventId: idOf(body, slices), original: body.subarray(slices.start, slices.end) });
    },
    broken: () => undefined,
    restart() {
      quoted.length = 0;
    },
  });
  return { page, quoted };
}

class IdSampler implements EventSink {
  counts = noCounts();
  readonly #text: FieldText;
  readonly #uuid = new Uint8Array(16);

  constructor(body: Uint8Array) {
    this.#text = new FieldText(body);
  }

  event(slices: EventSlices, position: number): void {
    if (position >= SAMPLE_EVENTS || !slices.isObject) return;
    this.#count(slices, slices.choose(ID_FIELDS), this.counts.id);
    this.#count(slices, FIELD.sessionId, this.counts.sessionId);
    this.#count(slices, FIELD.userId, this.counts.userId);
  }

  broken(): void {
    // It shows nothing of the types of ids.
  }

  restart(): void {
    this.counts = noCounts();
  }

  #count(slices: EventSlices, field: number, count: Counts): void {
    if (field === NO_FIELD || !isString(slices.kindOf(field))) return;
    count.strings += 1;
    this.#text.read(slices, field);
    const { bytes, start, end } = this.#text;
    if (writeUuid(this.#uuid, 0, bytes, start, end) && isUsualUuid(bytes, start, end)) count.uuids += 1;
  }
}

type Counts = { -readonly [key in keyof IdSample]: IdSample[key] };

function noCounts(): { readonly id: Counts; readonly sessionId: Counts; readonly userId: Counts } {
  const none = { strings: 0, uuids: 0 };
  return { id: { ...none }, sessionId: { ...none }, userId: { ...none } };
}
