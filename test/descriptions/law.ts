/**
 * The law: what an end may claim, held against what the API had.
 *
 * Code 0: every record that the API had, unchanged and in its place, since the run began, is a row, value by value. In no row stands
 * anything that the API never had. Exempt is what the card says: where pages are counted, records behind one that has vanished or
 * moved may be missing. Another code claims nothing of the records, but it has a reason, and it is neither 1 nor none.
 */
import type { Case } from './drawn-case.ts';
import type { Entry } from './drawn-list.ts';
import type { StartEnd } from './starts.ts';
import { jsonText } from '../support/vendors/vendor.ts';
import type { Rows } from './rows.ts';

export interface Breach {
  readonly kind: string;
  readonly text: string;
}

/** How many cases a breach shows. */
const SOME = 4;

export function checkEnd({ code, reason }: StartEnd): Breach | null {
  if (code === -1) return { kind: 'hangs', text: reason };
  if (code === 1) return { kind: 'code 1', text: reason };
  if (code !== 0 && code !== 130 && code !== 143 && reason.trim() === '')
    return { kind: `code ${code} without a reason`, text: '' };
  return null;
}

/** @param owed records that must be there */
export function checkRows({ rows, everHad, rejected }: Rows, owed: readonly Entry[]): Breach | null {
  const wrong = rows.filter((row) => !everHad.has(row));
  if (wrong.length > 0) {
    const shown = wrong.slice(0, SOME).map((row) => `${row}\n  nearest: ${nearest(row, [...everHad.keys()])}`);
    return { kind: 'wrong rows', text: `${wrong.length} rows are none of the API:\n  ${shown.join('\n  ')}` };
  }
  const there = new Set(rows.flatMap((row) => [...(everHad.get(row) ?? [])]));
  const missing = owed.filter(
    (entry) => !there.has(entry) && !(entry.record.isJunk && rejected.has(jsonText(entry.record.json))),
  );

  if (missing.length === 0) return null;
  return {
    kind: 'records missing after 0',
    text: `${missing.length} of ${owed.length}: n=${missing
      .slice(0, SOME)
      .map(({ n }) => n)
      .join(', ')}`,
  };
}

/** The text of the most equal values. */
function nearest(row: string, texts: readonly string[]): string {
  const values = JSON.parse(row) as unknown[];
  const equal = (text: string): number =>
    (JSON.parse(text) as unknown[]).filter((value, at) => value !== null && value === values[at]).length;
  return texts.reduce((best, text) => (equal(text) > equal(best) ? text : best), texts[0] ?? '[]');
}

/** Where pages are counted, whatever vanishes or moves takes others with it. */
export function maySkip({ words: { next } }: Case): boolean {
  return next.count !== undefined || next.lastRecord?.within !== undefined;
}

/**
 * Whether a list is read by the times of its records, is in another order, and has shown nothing of that: what a bound leaves out, nobody
 * can miss.
 */
export function hidesDisorder({ words: { time, next }, api }: Case, hasShownDisorder: boolean): boolean {
  const hasBounds = time?.since !== undefined || time?.until !== undefined;
  return api.isUnordered && next.lastRecord?.within !== undefined && hasBounds && !hasShownDisorder;
}

/**
 * Whether a list may never be read with code 0: the API hides its end, is not what the description says, has forgotten everything, which
 * nobody can tell from an API that fails, or has equal records without an id, of which whole pages look as if they came again.
 */
export function mayNeverEnd(drawn: Case, live: number, everHad: number): boolean {
  const {
    words: { id, time, next },
    wrong,
    api,
    data,
  } = drawn;
  const restsOnOrder = next.lastRecord?.within !== undefined;
  return (
    wrong !== null ||
    (live === 0 && everHad > 0) ||
    (id === undefined && data.equalEvery > 0) ||
    (api.isUnordered && restsOnOrder) ||
    (time?.cap !== undefined && live >= time.cap && !canPassCap(drawn, time.cap))
  );
}

/** Whether a walk can go on by time where the API cuts it off in silence. A few milliseconds alone must not come to as many records. */
function canPassCap({ words: { time, order = 'none' }, api, data }: Case, cap: number): boolean {
  const begins = { 'oldest-first': time?.since, 'newest-first': time?.until, none: undefined }[order];
  const instants = time?.granularity === '1us' ? Math.ceil(1000 / Math.max(1, data.gap)) : 1;
  return begins !== undefined && !api.isUnordered && data.noTimeEvery === 0 && instants * data.perInstant < cap / 2;
}

/** Whether several requests may be on their way at once: only a list in order of time, with both bounds, can be divided. */
export function mayBeParallel({ words: { time, order = 'none' } }: Case): boolean {
  return order !== 'none' && time?.since !== undefined && time.until !== undefined;
}

/** Whether a later run may take only what is new. */
export function mayBeIncremental({ words: { order = 'none' } }: Case): boolean {
  return order !== 'none';
}
