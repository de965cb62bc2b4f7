/** Cursors: Base64 of `{"id","ts","v":2,"exp"}`. They need no state here, so they survive a restart. */
import { z } from 'zod';
import type { SimulatorSettings } from '../settings.ts';

const cursorContent = z.object({ id: z.string(), ts: z.number().nullable(), exp: z.number() });

export interface CursorPosition {
  readonly id: string;
  /** Epoch µs. The cursor's own `ts` is in ms, with a fraction where needed. */
  readonly micros: number;
}

export interface OpenedCursor extends CursorPosition {
  readonly expiresAtMs: number;
}

export function issueCursor(settings: SimulatorSettings, position: CursorPosition, nowMs: number): string {
  const ts = position.micros / 1000;
  const exp = Math.round(nowMs + settings.cursorTtl * 1000);
  const bytes = Buffer.from(JSON.stringify({ id: position.id, ts, v: 2, exp }));
  if (settings.cursorAlphabet === 'standard') {
    const text = bytes.toString('base64');
    return settings.cursorPadding ? text : text.replace(/=+$/, '');
  }
  const text = bytes.toString('base64url');
  return settings.cursorPadding ? text.padEnd(Math.ceil(text.length / 4) * 4, '=') : text;
}

/** @returns `null` for a malformed cursor */
export function openCursor(text: string): OpenedCursor | null {
  if (!/^[\w+/-]+={0,2}$/.test(text)) return null;
  try {
    // Buffer reads both alphabets.
    const content = cursorContent.safeParse(JSON.parse(Buffer.from(text, 'base64').toString('utf8')));
    if (!content.success) return null;
    const { id, ts, exp } = content.data;
    // JSON has no infinity: it comes back as null, for a position behind an event without a time.
    return { id, micros: ts === null ? Number.NEGATIVE_INFINITY : Math.round(ts * 1000), expiresAtMs: exp };
  } catch {
    return null;
  }
}
