/**
 * Writes one event as JSON bytes. Somebody waits while millions of them are made, so a usual event is put together byte by
 * byte from prepared parts; only special events take the slow way over strings.
 */
import {
  badIdVariants,
  badTimeVariants,
  eventTypes,
  extraFieldVariants,
  nastyVariants,
  sessionOf,
  type EventFields,
  type Session,
} from './event-parts.ts';
import { hash32, purposeSeed } from './random.ts';
import type { SimulatorSettings, TimestampFormat } from '../settings.ts';
import { timestampJson, writeTimestamp } from './timestamp-text.ts';

/** Longer than any generated event: the room that the writer needs in its target. */
export const MAX_GENERATED_EVENT_BYTES = 32 * 1024;

/** Up to this length a loop is faster than `copy`, which calls native code. */
const LOOP_BYTES = 16;
/** Sessions that are active at the same time. */
const SESSIONS_AT_ONCE = 250;
const QUOTE = 0x22;
const COMMA = 0x2c;
const DASH = 0x2d;
const BASE36 = Buffer.from('0123456789abcdefghijklmnopqrstuvwxyz');
const HEX_PAIRS = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join(''));
const DROPPABLE = ['sessionId', 'userId', 'type', 'name', 'properties', 'session'] as const;

/** What the source knows of an event whose bytes do not tell it: hand-written, or with a bad id or time. */
export interface SpecialEvent {
  /** `null` when the event has no usable id and must be rejected. */
  readonly id: string | null;
  /** Epoch µs as a reader must understand it, `null` for an invalid time. */
  readonly occurredAtMicros: number | null;
}

export interface EventPlan {
  /** 1 is the oldest event; arrivals get higher numbers. Everything random about the event depends on it. */
  readonly serial: number;
  /** The first 32 bits of a UUID, chosen so that ids descend among events of one instant. */
  readonly idHead: number;
  readonly micros: number;
  readonly format: TimestampFormat;
}

function nextRandom(state: number): number {
  let x = state;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  return x;
}

interface Centre {
  readonly bytes: Buffer;
  readonly nameAt: number;
}

/** The parts of an event that name its session, ready to be copied. */
interface SessionTexts {
  readonly middle: Buffer;
  readonly tail: Buffer;
}

export class EventWriter {
  /** Offset of the id's first character from the event's first byte. */
  readonly idStart: number;
  private readonly settings: SimulatorSettings;
  private readonly bodySeed: number;
  private readonly specialSeed: number;
  private readonly specialShare: number;
  private readonly quotedId: boolean;
  private readonly idPrefix: string;
  private readonly open: Buffer;
  /** Made on first use: a small data set has few of the sessions. */
  private readonly sessionTexts: SessionTexts[] = [];
  /** By type, then by properties: the text from the type to the time, with room for the name's random letters. */
  private readonly centres: readonly (readonly Centre[])[];
  private readonly typeByPercent = new Uint8Array(128);

  constructor(settings: SimulatorSettings) {
    this.settings = settings;
    this.bodySeed = purposeSeed(settings.seed, 'body');
    this.specialSeed = purposeSeed(settings.seed, 'odd');
    const { missingFields, extraFields, nasty, badIds, badTimes } = settings;
    this.specialShare = missingFields + extraFields + nasty + badIds + badTimes;
    this.quotedId = settings.ids !== 'number';
    this.idPrefix = { uuid: '', text: 'evt-', 'event-text': 'event_', number: '', 'number-text': '' }[settings.ids];
    this.open = Buffer.from(`{"${settings.idField}":${this.quotedId ? '"' : ''}${this.idPrefix}`);
    this.idStart = this.open.length - this.idPrefix.length;
    this.centres = eventTypes.map(({ type, properties }) =>
      properties.map((json) => ({
        bytes: Buffer.from(`${type}","name":"event_------","properties":${json},"${settings.timeField}":`),
        nameAt: type.length + '","name":"event_'.length,
      })),
    );
    let percent = 0;
    eventTypes.forEach((entry, index) => {
      this.typeByPercent.fill(index, percent, percent + entry.percent);
      percent += entry.percent;
    });
  }

  /** A session's events lie near each other, as in real data; that also keeps its texts in the processor's cache. */
  private sessionNumber(serial: number, random: number): number {
    const { sessions, events } = this.settings;
    const first = Math.floor((serial * sessions) / Math.max(1, events));
    return (first + ((random >>> 8) % SESSIONS_AT_ONCE)) % sessions;
  }

  private textsOf(n: number): SessionTexts {
    const known = this.sessionTexts[n];
    if (known !== undefined) return known;
    const session = sessionOf(this.settings, n);
    const withSession = this.settings.session;
    const sessionId = withSession ? `"sessionId":"${session.id}",` : '';
    const texts = {
      middle: Buffer.from(`,${sessionId}"userId":"${session.userId}","type":"`),
      tail: Buffer.from(withSession ? `,"session":${sessionJson(session)}},` : '},'),
    };
    this.sessionTexts[n] = texts;
    return texts;
  }

  /** The id without its quotes. */
  idText(plan: EventPlan): string {
    const target = Buffer.alloc(64);
    return target.toString('latin1', 0, this.writeId(target, 0, plan));
  }

  private writeId(target: Uint8Array, at: number, plan: EventPlan): number {
    if (this.settings.ids === 'uuid')
      return writeUuid(target, at, plan.idHead, hash32(this.bodySeed ^ 0x5bd1_e995, plan.serial));
    const padded = this.settings.ids === 'text' || this.settings.ids === 'event-text';
    const text = this.idPrefix + String(plan.serial).padStart(padded ? 7 : 1, '0');
    for (let i = 0; i < text.length; i += 1) target[at + i] = text.charCodeAt(i);
    return at + text.length;
  }

  /**
   * Writes the event and a comma after it. `target` must have MAX_GENERATED_EVENT_BYTES of room.
   * @param noteSpecial called for an event without a usable id or time
   * @returns where it ended
   */
  write(target: Buffer, at: number, plan: EventPlan, noteSpecial: (special: SpecialEvent) => void): number {
    if (this.specialShare > 0) {
      const draw = hash32(this.specialSeed, plan.serial) / 0x1_0000_0000;
      if (draw < this.specialShare) return this.writeSpecial(target, at, plan, draw, noteSpecial);
    }
    let random = hash32(this.bodySeed, plan.serial) | 1;
    const session = this.textsOf(this.sessionNumber(plan.serial, random));
    let end = put(target, at, this.open);
    end = this.writeId(target, end - this.idPrefix.length, plan);
    if (this.quotedId) target[end++] = QUOTE;
    end = put(target, end, session.middle);
    random = nextRandom(random);
    const type = this.typeByPercent[(random >>> 0) % 100] ?? 0;
    random = nextRandom(random);
    const centre = this.centres[type]?.[(random >>> 28) & 3];
    const centreAt = end;
    end = put(target, end, centre?.bytes);
    writeName(target, centreAt + (centre?.nameAt ?? 0), random);
    end = writeTimestamp(target, end, plan.micros, plan.format);
    return put(target, end, session.tail);
  }

  /** The usual event as fields that can be changed. Agrees with `write` in every byte. */
  private fields(plan: EventPlan): EventFields {
    const { settings } = this;
    let random = hash32(this.bodySeed, plan.serial) | 1;
    const session = sessionOf(settings, this.sessionNumber(plan.serial, random));
    random = nextRandom(random);
    const type = eventTypes[this.typeByPercent[(random >>> 0) % 100] ?? 0];
    random = nextRandom(random);
    const name = Buffer.alloc(6);
    writeName(name, 0, random);
    const id = this.idText(plan);
    const fields: EventFields = new Map([[settings.idField, this.quotedId ? `"${id}"` : id]]);
    if (settings.session) fields.set('sessionId', `"${session.id}"`);
    fields.set('userId', `"${session.userId}"`);
    fields.set('type', `"${type?.type ?? ''}"`);
    fields.set('name', `"event_${name.toString('latin1')}"`);
    fields.set('properties', type?.properties[(random >>> 28) & 3] ?? '{}');
    fields.set(settings.timeField, timestampJson(plan.micros, plan.format));
    if (settings.session) fields.set('session', sessionJson(session));
    return fields;
  }

  private writeSpecial(
    target: Buffer,
    at: number,
    plan: EventPlan,
    draw: number,
    noteSpecial: (special: SpecialEvent) => void,
  ): number {
    const { missingFields, extraFields, nasty, badIds, idField, timeField } = this.settings;
    const pick = hash32(this.specialSeed ^ 0x7f4a_7c15, plan.serial);
    const fields = this.fields(plan);
    let rest = draw;
    if (rest < missingFields) {
      fields.delete(DROPPABLE[pick % DROPPABLE.length] ?? 'name');
    } else if ((rest -= missingFields) < extraFields) {
      for (const [key, json] of Object.entries(extraFieldVariants[pick % extraFieldVariants.length] ?? {}))
        fields.set(key, json);
    } else if ((rest -= extraFields) < nasty) {
      for (const [key, json] of Object.entries(nastyVariants[pick % nastyVariants.length] ?? {})) fields.set(key, json);
    } else if (rest - nasty < badIds) {
      setOrDelete(fields, idField, badIdVariants[pick % badIdVariants.length]);
      noteSpecial({ id: null, occurredAtMicros: plan.micros });
    } else {
      setOrDelete(fields, timeField, badTimeVariants[pick % badTimeVariants.length]);
      noteSpecial({ id: this.idText(plan), occurredAtMicros: null });
    }
    const body = [...fields].map(([key, json]) => `${JSON.stringify(key)}:${json}`).join(',');
    return at + target.write(`{${body}},`, at, 'utf8');
  }
}

function sessionJson(session: Session): string {
  return `{"id":"${session.id}","deviceType":"${session.device}","browser":"${session.browser}"}`;
}

function setOrDelete(fields: EventFields, key: string, json: string | undefined): void {
  if (json === undefined) fields.delete(key);
  else fields.set(key, json);
}

function put(target: Buffer, at: number, part: Buffer | undefined): number {
  if (part === undefined) return at;
  const { length } = part;
  if (length > LOOP_BYTES) {
    part.copy(target, at);
  } else {
    for (let i = 0; i < length; i += 1) target[at + i] = part[i] ?? 0;
  }
  return at + length;
}

function writeName(target: Uint8Array, at: number, random: number): number {
  let rest = random & 0x0fff_ffff;
  for (let i = 0; i < 6; i += 1) {
    target[at + i] = BASE36[rest % 36] ?? COMMA;
    rest = (rest / 36) | 0;
  }
  return at + 6;
}

function writeHexByte(target: Uint8Array, at: number, byte: number): void {
  target[at] = HEX_PAIRS[byte * 2] ?? 0;
  target[at + 1] = HEX_PAIRS[byte * 2 + 1] ?? 0;
}

function writeUuid(target: Uint8Array, at: number, head: number, seed: number): number {
  writeHexByte(target, at, head >>> 24);
  writeHexByte(target, at + 2, (head >>> 16) & 255);
  writeHexByte(target, at + 4, (head >>> 8) & 255);
  writeHexByte(target, at + 6, head & 255);
  let random = nextRandom(seed | 1);
  target[at + 8] = DASH;
  writeHexByte(target, at + 9, random >>> 24);
  writeHexByte(target, at + 11, (random >>> 16) & 255);
  target[at + 13] = DASH;
  writeHexByte(target, at + 14, 0x40 | ((random >>> 8) & 15));
  writeHexByte(target, at + 16, random & 255);
  random = nextRandom(random);
  target[at + 18] = DASH;
  writeHexByte(target, at + 19, 0x80 | ((random >>> 24) & 63));
  writeHexByte(target, at + 21, (random >>> 16) & 255);
  target[at + 23] = DASH;
  writeHexByte(target, at + 24, (random >>> 8) & 255);
  writeHexByte(target, at + 26, random & 255);
  random = nextRandom(random);
  writeHexByte(target, at + 28, random >>> 24);
  writeHexByte(target, at + 30, (random >>> 16) & 255);
  writeHexByte(target, at + 32, (random >>> 8) & 255);
  writeHexByte(target, at + 34, random & 255);
  return at + 36;
}
