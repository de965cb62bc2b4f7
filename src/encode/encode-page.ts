import type { EncodedPage, PageAnomaly, QuotedEnvelope, ReadingHints } from '../core/encoded-page.ts';
import { type CompiledPlan, DATASYNC } from './plan/compiled-plan.ts';
import { REJECTED_REASONS } from './rows/anomaly-reasons.ts';
import { CopyWriter } from './rows/copy-writer.ts';
import { EventEncoder, type EventEncoderOptions, idOf } from './rows/event-encoder.ts';
import { readPlaces } from './rows/page-places.ts';
import { readTimes } from './rows/served-events.ts';
import { EventSlices } from './scan/event-slices.ts';
import { JsonCursor } from './scan/json-cursor.ts';
import { scanPage } from './scan/page-scanner.ts';
import type { PageFault, ScannedPage } from './scan/scanned-page.ts';

/**
 * Rows take about half of their page's bytes, more when `extra` is used. A buffer that is too small costs a copy, one
 * that is too large costs only address space.
 */
const ROWS_PER_BODY_BYTE = 0.75;

/** A byte order mark is dropped. */
const DECODER = new TextDecoder();

export type PageEncoding = Omit<EncodedPage, 'body' | 'bodyBytes' | 'decodeMs' | 'encodeMs'>;

export interface PageOptions extends EventEncoderOptions {
  /** How events become rows; DataSync's unless given. */
  readonly plan?: CompiledPlan;
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
  const { plan = DATASYNC, instantMs = null, isKeyed = false } = options;
  const encoder = new EventEncoder(body, writer, plan, options);
  const scanned = scanPage(body, encoder, options.hints, plan);
  if ('fault' in scanned) return scanned;
  const { list, ...page } = scanned;
  const { served } = encoder;
  if (plan.plan.isOldestFirst === true) served.turnTimes();
  const times = readTimes(served.timesMs);
  return {
    status: 'encoded',
    ...writer.finish(),
    ...page,
    idColumnTypes: options.idColumnTypes,
    idSample: encoder.idSample,
    rejectedCount: encoder.rejectedCount,
    repairedCount: encoder.repairedCount,
    anomalies: encoder.anomalies,
    times,
    places: readPlaces(body, plan, served, instantMs, isKeyed || times === null),
    starts: served.starts,
    quoted: plan.plan.envelope === 'quoted' ? quoteAround(body, list, served.starts) : null,
  };
}

/** @param starts where each record begins */
function quoteAround(body: Uint8Array, list: ScannedPage['list'], starts: Uint32Array): QuotedEnvelope {
  const text = (start: number, end: number): string => DECODER.decode(body.subarray(start, end));
  if (list === null) return { around: text(0, body.length), hasList: false, firstRecord: null, lastRecord: null };
  const { start, end } = list;
  const [first, second] = starts;
  const last = starts.at(-1);
  return {
    around: `${text(0, start)}[]${text(end, body.length)}`,
    hasList: true,
    // Without the comma behind it.
    firstRecord: first === undefined ? null : text(first, second ?? end - 1).replace(/,\s*$/, ''),
    lastRecord: last === undefined ? null : text(last, end - 1),
  };
}

/** Size of the buffer that the rows of a page of `bodyBytes` are begun in. */
export function likelyRowsBytes(bodyBytes: number): number {
  return Math.ceil(bodyBytes * ROWS_PER_BODY_BYTE);
}

/**
 * An event of a page that was encoded before, for people.
 * @param start where it begins in the page's body
 */
export function quoteEvent(
  body: Uint8Array,
  start: number,
  plan = DATASYNC,
): Pick<PageAnomaly, 'eventId' | 'original'> {
  const cursor = new JsonCursor(body);
  cursor.takesControls = true;
  const slices = new EventSlices(plan);
  const end = slices.read(cursor, start);
  return { eventId: idOf(body, slices, plan), original: body.subarray(start, end) };
}

/**
 * Rejects the event of a page that no worker survives, without its time and without converting anything, so that it costs
 * one event and not the job. Null: the page has more events than one, or none, so which of them it is is not known.
 */
export function setAsideEvent(body: Uint8Array, plan = DATASYNC): PageEncoding | PageFault | null {
  const page = encodePage(body, { plan, idColumnTypes: {}, firstSourceOrder: 0n, maxEventBytes: 0, isKeyed: true });
  if ('fault' in page) return page;
  if (page.servedCount !== 1) return null;
  const anomalies = page.anomalies.map((anomaly) => ({ ...anomaly, reason: REJECTED_REASONS.workerDied }));
  const places = { ...page.places, timesMs: Float64Array.of(Number.NaN), edgeKeys: [] };
  return { ...page, idColumnTypes: null, anomalies, times: null, places };
}
