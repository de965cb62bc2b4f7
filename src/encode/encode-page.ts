import type { EncodedPage, IdSample, PageAnomaly, ReadingHints, SampledPage } from '../core/encoded-page.ts';
import { REJECTED_REASONS } from './rows/anomaly-reasons.ts';
import { CopyWriter } from './rows/copy-writer.ts';
import { EventEncoder, type EventEncoderOptions, idOf } from './rows/event-encoder.ts';
import { readPlaces } from './rows/page-places.ts';
import { readTimes } from './rows/served-events.ts';
import { EventSlices } from './scan/event-slices.ts';
import { FIELD, ID_FIELDS, isString, NO_FIELD } from './scan/fields.ts';
import { JsonCursor } from './scan/json-cursor.ts';
import { scanPage } from './scan/page-scanner.ts';
import type { EventSink, PageFault } from './scan/scanned-page.ts';

/**
 * Rows take about half of their page's bytes, more when `extra` is used. A buffer that is too small costs a copy, one
 * that is too large costs only address space.
 */
const ROWS_PER_BODY_BYTE = 0.75;
/** How many events decide the types of the id columns. */
const SAMPLE_EVENTS = 100;

export type PageEncoding = Omit<EncodedPage, 'body' | 'bodyBytes' | 'decodeMs' | 'encodeMs'>;
type PageSample = Omit<SampledPage, 'body' | 'bodyBytes'>;

export interface PageOptions extends EventEncoderOptions {
  /** Where the page before this one ended, epoch ms; none when there is none. */
  readonly instantMs?: number | null;
  /** Every event gets a key, even if times tell the order. */
  readonly isKeyed?: boolean;
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
  const { served } = encoder;
  const times = readTimes(served.timesMs);
  const { instantMs = null, isKeyed = false } = options;
  return {
    status: 'encoded',
    ...writer.finish(),
    ...page,
    idColumnTypes: options.idColumnTypes,
    rejectedCount: encoder.rejectedCount,
    repairedCount: encoder.repairedCount,
    anomalies: encoder.anomalies,
    times,
    places: readPlaces(body, served, instantMs, isKeyed || times === null),
    starts: served.starts,
  };
}

/** Size of the buffer that the rows of a page of `bodyBytes` are begun in. */
export function likelyRowsBytes(bodyBytes: number): number {
  return Math.ceil(bodyBytes * ROWS_PER_BODY_BYTE);
}

/** Counts strings, and UUIDs in their usual spelling, among the ids of the first (newest) events of a page. */
export function samplePage(body: Uint8Array, hints?: ReadingHints): PageSample | PageFault {
  const sampler = new IdSampler();
  const page = scanPage(body, sampler, hints);
  return 'fault' in page ? page : { status: 'sampled', ...sampler.counts };
}

/**
 * An event of a page that was encoded before, for people.
 * @param start where it begins in the page's body
 */
export function quoteEvent(body: Uint8Array, start: number): Pick<PageAnomaly, 'eventId' | 'original'> {
  const cursor = new JsonCursor(body);
  cursor.takesControls = true;
  const slices = new EventSlices();
  const end = slices.read(cursor, start);
  return { eventId: idOf(body, slices), original: body.subarray(start, end) };
}

/**
 * Rejects the event of a page that no worker survives, without its time and without converting anything, so that it costs
 * one event and not the job. Null: the page has more events than one, or none, so which of them it is is not known.
 */
export function setAsideEvent(body: Uint8Array): PageEncoding | PageFault | null {
  const types = { id: 'text', sessionId: 'text', userId: 'text' } as const;
  const page = encodePage(body, { idColumnTypes: types, firstSourceOrder: 0n, maxEventBytes: 0, isKeyed: true });
  if ('fault' in page) return page;
  if (page.servedCount !== 1) return null;
  const anomalies = page.anomalies.map((anomaly) => ({ ...anomaly, reason: REJECTED_REASONS.workerDied }));
  const places = { ...page.places, timesMs: Float64Array.of(Number.NaN), edgeKeys: [] };
  return { ...page, idColumnTypes: null, anomalies, times: null, places };
}

class IdSampler implements EventSink {
  counts = noCounts();

  event(slices: EventSlices, position: number): void {
    if (position >= SAMPLE_EVENTS || !slices.isObject) return;
    count(slices, slices.choose(ID_FIELDS), this.counts.id);
    count(slices, FIELD.sessionId, this.counts.sessionId);
    count(slices, FIELD.userId, this.counts.userId);
  }

  broken(): void {
    // It shows nothing of the types of ids.
  }

  restart(): void {
    this.counts = noCounts();
  }
}

type Counts = { -readonly [key in keyof IdSample]: IdSample[key] };

function count(slices: EventSlices, field: number, counts: Counts): void {
  if (field === NO_FIELD || !isString(slices.kindOf(field))) return;
  counts.strings += 1;
  if (slices.of(field).isUuid) counts.uuids += 1;
}

function noCounts(): { readonly id: Counts; readonly sessionId: Counts; readonly userId: Counts } {
  const none = { strings: 0, uuids: 0 };
  return { id: { ...none }, sessionId: { ...none }, userId: { ...none } };
}
