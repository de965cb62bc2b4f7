import type { IdColumnTypes, IdSample, PageAnomaly } from '../../core/encoded-page.ts';
import type { CompiledColumn, CompiledPlan } from '../plan/compiled-plan.ts';
import type { EventSlices } from '../scan/event-slices.ts';
import { isString } from '../scan/fields.ts';
import { MAX_JSON_GROWTH } from '../scan/json-strings.ts';
import type { BrokenReason, EventRepair, EventSink } from '../scan/scanned-page.ts';
import { type AnomalyReason, REJECTED_REASONS, type RejectedReason } from './anomaly-reasons.ts';
import { type CopyWriter, SourceOrder } from './copy-writer.ts';
import { EventFields } from './event-fields.ts';
import { excerptOfId } from './field-texts.ts';
import { ServedEvents } from './served-events.ts';

/**
 * Deepest nesting of an event, its own braces counted. PostgreSQL 18 reads jsonb down to 16,330 levels at its default
 * `max_stack_depth` of 2 MB, jsonpath stops at 11,872, and other builds and versions use more stack a level. If a
 * smaller setting refuses an event all the same, splitting the batch finds it.
 */
export const MAX_EVENT_DEPTH = 6000;

/** How many of the newest events decide the types of the id columns. */
const SAMPLE_EVENTS = 100;

/** A row has at most the event's bytes twice (a field in its column and in `extra`), and these for lengths and braces. */
const ROW_OVERHEAD_BYTES = 256;
/** The same for each column. The longest field of few characters is a numeric: its length, 8 bytes, and one digit more than it has. */
const COLUMN_OVERHEAD_BYTES = 32;

export interface EventEncoderOptions {
  readonly idColumnTypes: IdColumnTypes;
  readonly firstSourceOrder: bigint;
  readonly maxEventBytes: number;
}

/** Turns each event of one page into a row, or rejects it, and notes its anomalies, which are views of the body. */
export class EventEncoder implements EventSink {
  readonly anomalies: PageAnomaly[] = [];
  rejectedCount = 0;
  repairedCount = 0;
  readonly served = new ServedEvents();
  /** Of the columns whose type the first records decide. */
  idSample: Record<string, Counts>;

  readonly #body: Uint8Array;
  readonly #writer: CopyWriter;
  readonly #types: IdColumnTypes;
  /** Over the slices that the events are read into. */
  #fields: EventFields | null = null;
  readonly #sourceOrder: SourceOrder;
  readonly #maxEventBytes: number;
  readonly #plan: CompiledPlan;
  readonly #fieldCount: number;
  readonly #overheadBytes: number;

  constructor(body: Uint8Array, writer: CopyWriter, plan: CompiledPlan, options: EventEncoderOptions) {
    this.#plan = plan;
    // Beside those of the plan: id, extra, source_order.
    this.#fieldCount = plan.columns.length + 3;
    this.#overheadBytes = ROW_OVERHEAD_BYTES + this.#fieldCount * COLUMN_OVERHEAD_BYTES;
    this.idSample = noSample(plan);
    this.#body = body;
    this.#writer = writer;
    this.#types = options.idColumnTypes;
    this.#sourceOrder = new SourceOrder(options.firstSourceOrder);
    this.#maxEventBytes = options.maxEventBytes;
  }

  restart(): void {
    this.#writer.restart();
    this.anomalies.length = 0;
    this.rejectedCount = 0;
    this.repairedCount = 0;
    this.served.clear();
    this.idSample = noSample(this.#plan);
  }

  event(slices: EventSlices, position: number, repair?: EventRepair): void {
    if (position < SAMPLE_EVENTS) this.#sample(slices);
    if (!slices.isObject) this.served.add(Number.NaN, slices.start);
    const reason = slices.isObject ? this.#encode(slices, position, repair) : REJECTED_REASONS.notAnObject;
    if (reason === null) return;
    this.rejectedCount += 1;
    this.#note(slices, position, 'rejected', reason.startsWith('id-') ? 'id' : 'event', reason, repair?.end);
  }

  broken(start: number, end: number, position: number, reason: BrokenReason): void {
    this.served.addBroken(start, end);
    this.rejectedCount += 1;
    const original = this.#body.subarray(start, end);
    this.anomalies.push({ kind: 'rejected', position, eventId: null, field: 'event', reason, original });
  }

  #sample(slices: EventSlices): void {
    if (!slices.isObject) return;
    for (const column of [this.#plan.id, ...this.#plan.columns]) count(slices, column, this.idSample);
  }

  #encode(slices: EventSlices, position: number, repair: EventRepair | undefined): RejectedReason | null {
    const fields = this.#fieldsOf(slices);
    fields.readTime();
    this.served.add(fields.time?.epochMs ?? Number.NaN, slices.start);
    const bytes = slices.end - slices.start;
    if (bytes > this.#maxEventBytes) return REJECTED_REASONS.tooLarge;
    if (slices.depth > MAX_EVENT_DEPTH) return REJECTED_REASONS.tooDeep;

    const writer = this.#writer;
    writer.reserve(bytes * (repair === undefined ? 2 : 2 * MAX_JSON_GROWTH) + this.#overheadBytes);
    writer.startRow(this.#fieldCount);
    const rejected = fields.write();
    if (rejected !== null) {
      writer.dropRow();
      return rejected;
    }
    this.#sourceOrder.set(position);
    writer.int64(this.#sourceOrder.high, this.#sourceOrder.low);
    writer.endRow();
    if (fields.repairs.length > 0 || repair !== undefined) this.#noteRepairs(fields.repairs, slices, position, repair);
    return null;
  }

  #fieldsOf(slices: EventSlices): EventFields {
    if (this.#fields?.slices !== slices) this.#fields = new EventFields(this.#body, this.#writer, slices, this.#types);
    return this.#fields;
  }

  #noteRepairs(
    repairs: EventFields['repairs'],
    slices: EventSlices,
    position: number,
    repair: EventRepair | undefined,
  ): void {
    this.repairedCount += 1;
    for (const { column, reason } of repairs) {
      this.#note(slices, position, 'repaired', column, reason, repair?.end);
    }
    if (repair !== undefined) this.#note(slices, position, 'repaired', 'event', repair.reason, repair.end);
  }

  #note(
    slices: EventSlices,
    position: number,
    kind: PageAnomaly['kind'],
    field: string,
    reason: AnomalyReason,
    end = slices.end,
  ): void {
    const original = this.#body.subarray(slices.start, end);
    this.anomalies.push({ kind, position, eventId: idOf(this.#body, slices, this.#plan), field, reason, original });
  }
}

/** The id of an event as served, cut; null when it has none that is a string or a number. */
export function idOf(body: Uint8Array, slices: EventSlices, { id }: CompiledPlan): string | null {
  if (!slices.isObject) return null;
  return excerptOfId(body, slices.choose(id));
}

type Counts = { -readonly [key in keyof IdSample]: IdSample[key] };

function noSample({ id, columns }: CompiledPlan): Record<string, Counts> {
  const decided = [id, ...columns].flatMap(({ type }) => (typeof type === 'string' ? [] : [type.decidedBy]));
  return Object.fromEntries(decided.map((name) => [name, { strings: 0, uuids: 0 }]));
}

function count(slices: EventSlices, column: CompiledColumn, sample: Record<string, Counts>): void {
  const counts = typeof column.type === 'string' ? undefined : sample[column.type.decidedBy];
  const { kind, isUsual } = slices.choose(column);
  if (counts === undefined || !isString(kind)) return;
  counts.strings += 1;
  if (isUsual) counts.uuids += 1;
}
