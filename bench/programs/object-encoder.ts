/** An encoder as it is usually written, for comparison: JSON.parse, then every object's fields into binary COPY rows. */
import { pageSchema, type ApiEvent } from './events-as-objects.ts';

const HEADER = Buffer.from('5047434f50590aff0d0a000000000000000000', 'hex');
const FIELD_COUNT = 11;
const JSONB_VERSION = 1;
/** PostgreSQL counts microseconds from 2000-01-01. */
const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1);
const ROOM_PER_EVENT_BYTES = 4_096;
const SHORT_TEXT = 64;
const HYPHEN = 0x2d;
const NINE = 0x39;

/** @returns bytes of the rows. Throws on a page with larger events than the comparison has. */
export function encodeObjects(body: Uint8Array, firstSourceOrder: bigint): number {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
  const { data } = pageSchema.parse(JSON.parse(text));
  const out = Buffer.allocUnsafe(body.byteLength + ROOM_PER_EVENT_BYTES);
  let at = HEADER.copy(out, 0);
  data.forEach((event, index) => {
    at = writeEvent(out, at, event, firstSourceOrder + BigInt(index));
  });
  return out.writeInt16BE(-1, at);
}

function writeEvent(out: Buffer, start: number, event: ApiEvent, sourceOrder: bigint): number {
  let at = out.writeInt16BE(FIELD_COUNT, start);
  at = writeUuid(out, at, event.id);
  at = writeUuid(out, at, event.sessionId);
  at = writeUuid(out, at, event.userId);
  at = writeText(out, at, event.type);
  at = writeText(out, at, event.name);
  at = writeJsonb(out, at, event.properties);
  at = writeTime(out, at, event.timestamp);
  at = writeText(out, at, event.session?.deviceType);
  at = writeText(out, at, event.session?.browser);
  at = out.writeInt32BE(-1, at);
  at = out.writeInt32BE(8, at);
  return out.writeBigInt64BE(sourceOrder, at);
}

/** Writes two halves, because BigInt is slow; exact for every time that a Date can hold. */
function writeTime(out: Buffer, at: number, timestamp: number | string): number {
  const ms = typeof timestamp === 'number' ? timestamp : Date.parse(timestamp);
  const micros = (ms - POSTGRES_EPOCH_MS) * 1000;
  const high = Math.floor(micros / 2 ** 32);
  const next = out.writeInt32BE(8, at);
  return out.writeUInt32BE(micros - high * 2 ** 32, out.writeInt32BE(high, next));
}

function writeUuid(out: Buffer, at: number, value: string | undefined): number {
  if (value === undefined) return out.writeInt32BE(-1, at);
  let next = out.writeInt32BE(16, at);
  for (let i = 0; i < value.length; i += 2) {
    if (value.charCodeAt(i) === HYPHEN) i += 1;
    out[next++] = (hexDigit(value.charCodeAt(i)) << 4) | hexDigit(value.charCodeAt(i + 1));
  }
  return next;
}

function hexDigit(code: number): number {
  return code <= NINE ? code & 15 : (code & 15) + 9;
}

/** A loop is faster than a call into C++ for short ASCII, and nearly all texts of events are that. */
function writeUtf8(out: Buffer, at: number, value: string): number {
  if (value.length > SHORT_TEXT) return out.write(value, at, 'utf8');
  for (let i = 0; i < value.length; i += 1) {
    const code = value.charCodeAt(i);
    if (code > 127) return out.write(value, at, 'utf8');
    out[at + i] = code;
  }
  return value.length;
}

function writeText(out: Buffer, at: number, value: string | undefined): number {
  if (value === undefined) return out.writeInt32BE(-1, at);
  const bytes = writeUtf8(out, at + 4, value);
  return out.writeInt32BE(bytes, at) + bytes;
}

function writeJsonb(out: Buffer, at: number, value: object | undefined): number {
  if (value === undefined) return out.writeInt32BE(-1, at);
  out[at + 4] = JSONB_VERSION;
  const bytes = 1 + writeUtf8(out, at + 5, JSON.stringify(value));
  return out.writeInt32BE(bytes, at) + bytes;
}
