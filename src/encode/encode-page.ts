import type { EncodedPage, IdSample, PageAnomaly, SampledPage } from '../core/encoded-page.ts';
import { REJECTED_REASONS } from './rows/anomaly-reasons.ts';
import { NO_FIELD } from './scan/known-keys.ts';
import { CopyWriter } from './rows/copy-writer.ts';
import { EventEncoder, type EventEncoderOptions, idOf } from './rows/event-encoder.ts';
import { type EventSlices, FIELD, KIND } from './scan/event-slices.ts';
import { chooseField, ID_FIELDS, isString } from './scan/field-groups.ts';
import { FieldText } from './rows/field-texts.ts';
import { writeUuid } from './scan/ids.ts';
import { type EventSink, type PageFault, scanPage } from './scan/page-scanner.ts';

/**
 * Rows take about half of the page that they came from; with `extra` in use, more. Too little costs a copy, too much
 * only address space.
 */
const ROWS_PER_BODY_BYTE = 0.75;
/** Events that are looked at to decide the types of the id columns. */
const SAMPLE_EVENTS = 100;

export type PageEncoding = Omit<EncodedPage, 'body' | 'bodyBytes' | 'decodeMs' | 'encodeMs'>;
export type PageSample = Omit<SampledPage, 'body' | 'bodyBytes'>;

/** One event of a page as it was served. */
export interface QuotedEvent {
  readonly position: number;
  /** As in PageAnomaly. */
  readonly eventId: string | null;
  /** A view of the body. */
  readonly original: Uint8Array;
}

/**
 * A page's JSON → a complete binary COPY stream. Pure. `body` is only read; the anomalies' `original` are views of it.
 * `rows` is `spare`
 * where that is large enough, else a new ArrayBuffer.
 */
export function encodePage(
  body: Uint8Array,
  options: EventEncoderOptions,
  spare?: ArrayBuffer,
): PageEncoding | PageFault {
  const writer = new CopyWriter(body, likelyRowsBytes(body.byteLength), spare);
  const encoder = new EventEncoder(body, writer, options);
  const page = scanPage(body, encoder);
  if ('fault' in page) return page;
  return {
    status: 'encoded',
    ...writer.finish(),
    servedCount: page.servedCount,
    rejectedCount: encoder.rejectedCount,
    repairedCount: encoder.repairedCount,
    anomalies: encoder.anomalies,
    envelope: page.envelope,
    times: encoder.times.read(),
    firstEventId: encoder.firstEventId,
    lastEventId: encoder.lastEventId,
  };
}

/** How large a buffer rows of a page of so many bytes are begun in. */
export function likelyRowsBytes(bodyBytes: number): number {
  return Math.ceil(bodyBytes * ROWS_PER_BODY_BYTE);
}

/** Counts strings and UUIDs among the ids of the first (newest) events of a page. */
export function samplePage(body: Uint8Array): PageSample | PageFault {
  const sampler = new IdSampler(body);
  const page = scanPage(body, sampler);
  return 'fault' in page ? page : { status: 'sampled', ...sampler.read() };
}

/**
 * The exact bytes of the events at `positions`, in serving order; for events that PostgreSQL refused. Positions that
 * the page does not have are left out. `body` is a page that was encoded before: throws TypeError if it is none.
 */
export function quoteEvents(body: Uint8Array, positions: Iterable<number>): QuotedEvent[] {
  const wanted = new Set(positions);
  let quoted: QuotedEvent[] = [];
  const page = scanPage(body, {
    event(slices, position) {
      if (!wanted.has(position)) return;
      const eventId = slices.isObject ? idOf(body, slices) : null;
      quoted.push({ position, eventId, original: body.subarray(slices.start, slices.end) });
    },
    restart() {
      quoted = [];
    },
  });
  if ('fault' in page) throw new TypeError(`Cannot quote events of what is no page. ${page.detail}`);
  return quoted;
}

/**
 * A page of one event that no worker survives: rejected without converting anything, so that the event costs itself and
 * not the job. Null: the page has more than one, and which of them it is is not known.
 */
export function setAsideEvent(body: Uint8Array): PageEncoding | PageFault | null {
  const anomalies: PageAnomaly[] = [];
  const page = scanPage(body, {
    event(slices, position) {
      if (anomalies.length > 1) return;
      const eventId = slices.isObject ? idOf(body, slices) : null;
      const original = body.subarray(slices.start, slices.end);
      anomalies.push({
        kind: 'rejected',
        position,
        eventId,
        field: 'event',
        reason: REJECTED_REASONS.workerDied,
        original,
      });
    },
    restart() {
      anomalies.length = 0;
    },
  });
  if ('fault' in page) return page;
  const [only] = anomalies;
  if (only === undefined || page.servedCount !== 1) return null;
  return {
    status: 'encoded',
    ...new CopyWriter(body, 0).finish(),
    servedCount: 1,
    rejectedCount: 1,
    repairedCount: 0,
    anomalies,
    envelope: page.envelope,
    times: null,
    firstEventId: only.eventId,
    lastEventId: only.eventId,
  };
}

class IdSampler implements EventSink {
  readonly #text: FieldText;
  readonly #uuid = new Uint8Array(16);
  #id = { strings: 0, uuids: 0 };
  #sessionId = { strings: 0, uuids: 0 };
  #userId = { strings: 0, uuids: 0 };

  constructor(body: Uint8Array) {
    this.#text = new FieldText(body);
  }

  event(slices: EventSlices, position: number): void {
    if (position >= SAMPLE_EVENTS || !slices.isObject) return;
    this.#count(slices, chooseField(slices, ID_FIELDS), this.#id);
    this.#count(slices, FIELD.sessionId, this.#sessionId);
    this.#count(slices, FIELD.userId, this.#userId);
  }

  restart(): void {
    for (const sample of [this.#id, this.#sessionId, this.#userId]) {
      sample.strings = 0;
      sample.uuids = 0;
    }
  }

  read(): { id: IdSample; sessionId: IdSample; userId: IdSample } {
    return { id: this.#id, sessionId: this.#sessionId, userId: this.#userId };
  }

  #count(slices: EventSlices, field: number, sample: { strings: number; uuids: number }): void {
    const kind = field === NO_FIELD ? KIND.absent : slices.kindOf(field);
    if (field === NO_FIELD || !isString(kind)) return;
    sample.strings += 1;
    this.#text.read(slices, field);
    if (writeUuid(this.#uuid, 0, this.#text.bytes, this.#text.start, this.#text.end)) sample.uuids += 1;
  }
}
