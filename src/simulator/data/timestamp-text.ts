/** Times in every format that the API was seen to use: all of them as text, the usual ones as bytes too. */
import type { TimestampFormat } from '../settings.ts';

const MS_PER_DAY = 86_400_000;
const ZERO = 0x30;
const QUOTE = 0x22;
const COLON = 0x3a;
const DOT = 0x2e;
const UPPER_Z = 0x5a;

/** True for formats with microseconds. */
export function hasMicros(format: TimestampFormat): boolean {
  return format === 'micros' || format === 'nanos' || format === 'iso-micros';
}

/** @returns the time as JSON text; `micros` are whole epoch µs */
export function timestampJson(micros: number, format: TimestampFormat): string {
  const ms = Math.floor(micros / 1000);
  const belowMs = micros - ms * 1000;
  const iso = new Date(ms).toISOString();
  switch (format) {
    case 'ms':
      return String(ms);
    case 'digits':
      return `"${ms}"`;
    case 'seconds':
      return String(ms / 1000);
    case 'whole-seconds':
      return String(Math.floor(ms / 1000));
    case 'micros':
      return String(micros);
    case 'nanos':
      return micros === 0 ? '0' : `${micros}000`;
    case 'iso':
      return `"${iso}"`;
    case 'iso-micros':
      return `"${iso.slice(0, -1)}${String(belowMs).padStart(3, '0')}Z"`;
    case 'iso-space':
      return `"${iso.slice(0, -1).replace('T', ' ')}"`;
    case 'iso-offset':
      return `"${new Date(ms + 2 * 3_600_000).toISOString().slice(0, -1)}+02:00"`;
  }
}

function writeDigits(target: Uint8Array, at: number, value: number, width: number): void {
  let rest = value | 0;
  for (let i = at + width - 1; i >= at; i -= 1) {
    const tenth = (rest / 10) | 0;
    target[i] = ZERO + rest - tenth * 10;
    rest = tenth;
  }
}

let cachedDay = Number.NaN;
let cachedDate = Buffer.alloc(0);

/** Writes the time as JSON at `at`. @returns where it ended */
export function writeTimestamp(target: Buffer, at: number, micros: number, format: TimestampFormat): number {
  const ms = Math.floor(micros / 1000);
  if (ms < 1e12 || ms >= 1e13) return at + target.write(timestampJson(micros, format), at, 'latin1');
  if (format === 'ms') {
    const high = Math.floor(ms / 1e6);
    writeDigits(target, at, high, 7);
    writeDigits(target, at + 7, ms - high * 1e6, 6);
    return at + 13;
  }
  if (format !== 'iso') return at + target.write(timestampJson(micros, format), at, 'latin1');
  const day = Math.floor(ms / MS_PER_DAY);
  if (day !== cachedDay) {
    // Neighbouring events share their day: the date is formatted once for each.
    cachedDay = day;
    cachedDate = Buffer.from(`"${new Date(day * MS_PER_DAY).toISOString().slice(0, 11)}`);
  }
  for (let i = 0; i < 12; i += 1) target[at + i] = cachedDate[i] ?? QUOTE;
  const inDay = ms - day * MS_PER_DAY;
  const seconds = (inDay / 1000) | 0;
  writeDigits(target, at + 12, (seconds / 3600) | 0, 2);
  target[at + 14] = COLON;
  writeDigits(target, at + 15, ((seconds / 60) | 0) % 60, 2);
  target[at + 17] = COLON;
  writeDigits(target, at + 18, seconds % 60, 2);
  target[at + 20] = DOT;
  writeDigits(target, at + 21, inDay - seconds * 1000, 3);
  target[at + 24] = UPPER_Z;
  target[at + 25] = QUOTE;
  return at + 26;
}
