/**
 * What the places of a page are counted by: the time of each event, and keys of the few events by which the page is joined
 * with those around it; where no times tell the order, of all events. A key is a digest of the id, or of the event's bytes where it has none.
 */
import { createHash } from 'node:crypto';
import type { PageBeginning, PagePlaces } from '../../core/encoded-page.ts';
import type { CompiledPlan } from '../plan/compiled-plan.ts';
import { EventSlices } from '../scan/event-slices.ts';
import { isString, KIND } from '../scan/fields.ts';
import { JsonCursor } from '../scan/json-cursor.ts';
import { FieldText } from './field-texts.ts';
import type { ServedEvents } from './served-events.ts';

/** Characters of a digest, in hexadecimal. */
const DIGEST_LENGTH = 16;
/** Events at the beginning of a page that tell it from others, at most. */
const BEGINNING = 64;

/**
 * @param instantMs the instant at which the page before this one ended; `null` when there is none
 * @param isKeyed every event gets a key
 */
export function readPlaces(
  body: Uint8Array,
  plan: CompiledPlan,
  served: ServedEvents,
  instantMs: number | null,
  isKeyed: boolean,
): PagePlaces {
  const { count, timesMs } = served;
  if (count === 0)
    return { timesMs, instantKeys: [], keys: [], edgeKeys: [], beginnings: [], firstDigest: null, lastDigest: null };
  const reader = new EventReader(body, plan, served);
  const keyAt = (position: number): string => reader.key(position);
  return {
    timesMs,
    instantKeys: instantMs === null ? [] : positionsOf(timesMs, instantMs).map(keyAt),
    keys: isKeyed ? Array.from(timesMs, (_, position) => keyAt(position)) : [],
    edgeKeys: edgeOf(timesMs).map(keyAt),
    beginnings: beginningsOf(reader, count),
    firstDigest: digestOf(reader.bytesOf(0)),
    lastDigest: digestOf(reader.bytesOf(count - 1)),
  };
}

function beginningsOf(reader: EventReader, count: number): PageBeginning[] {
  const hash = createHash('sha256');
  const beginnings: PageBeginning[] = [];
  for (let events = 1; events <= Math.min(count, BEGINNING); events += 1) {
    hash.update(reader.bytesOf(events - 1));
    const isPowerOfTwo = (events & (events - 1)) === 0;
    if (events === 1 || (!isPowerOfTwo && events < count)) continue;
    beginnings.push({ events, digest: hash.copy().digest('hex').slice(0, DIGEST_LENGTH) });
  }
  return beginnings;
}

function positionsOf(timesMs: Float64Array, instantMs: number): number[] {
  const positions: number[] = [];
  for (let at = timesMs.indexOf(instantMs); at !== -1; at = timesMs.indexOf(instantMs, at + 1)) positions.push(at);
  return positions;
}

/** The run of events at the end that share the last time. Those without a time are passed over. */
function edgeOf(timesMs: Float64Array): number[] {
  const positions: number[] = [];
  let edgeMs = Number.NaN;
  for (let at = timesMs.length - 1; at >= 0; at -= 1) {
    const timeMs = timesMs[at] ?? Number.NaN;
    if (Number.isNaN(timeMs)) continue;
    if (positions.length > 0 && timeMs !== edgeMs) break;
    edgeMs = timeMs;
    positions.push(at);
  }
  return positions.reverse();
}

/** Reads single events of a body that has been scanned before. */
class EventReader {
  readonly #body: Uint8Array;
  readonly #served: ServedEvents;
  readonly #starts: Uint32Array;
  readonly #cursor: JsonCursor;
  readonly #plan: CompiledPlan;
  readonly #slices: EventSlices;
  readonly #text: FieldText;

  constructor(body: Uint8Array, plan: CompiledPlan, served: ServedEvents) {
    this.#plan = plan;
    this.#slices = new EventSlices(plan);
    this.#body = body;
    this.#served = served;
    this.#starts = served.starts;
    this.#cursor = new JsonCursor(body);
    this.#cursor.takesControls = true;
    this.#text = new FieldText(body);
  }

  key(position: number): string {
    const event = this.bytesOf(position);
    const slices = this.#slices;
    const isReadable = this.#served.brokenEndOf(position) === undefined && slices.isObject;
    const id = slices.choose(this.#plan.id);
    if (!isReadable || (!isString(id.kind) && id.kind !== KIND.number)) return digestOf(event);
    this.#text.read(id);
    const { bytes, start: from, end: to } = this.#text;
    if (from === to) return digestOf(event);
    return digestOf(bytes.subarray(from, to));
  }

  bytesOf(position: number): Uint8Array {
    const start = this.#starts[position] ?? 0;
    const end = this.#served.brokenEndOf(position) ?? this.#slices.read(this.#cursor, start);
    return this.#body.subarray(start, end);
  }
}

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, DIGEST_LENGTH);
}
