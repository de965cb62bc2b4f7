/** Whether times are written in another unit than the description says: each would be stored, and be wrong. */
import { valueAt } from './answer-values.ts';
import type { FilledDescription } from './fill-in.ts';

/** By name, in one second. The description knows the first two. */
const UNITS: Readonly<Record<string, number>> = { s: 1, ms: 1e3, microseconds: 1e6, nanoseconds: 1e9 };
/** In which years times are expected. Those of others are believed. */
const EARLIEST_S = Date.UTC(2000) / 1000;
const END_S = Date.UTC(2100) / 1000;

/** @param records of a page. @returns half a sentence; `null` when they may be as described */
export function timesOfOtherFormat(
  { description: { time } }: FilledDescription,
  records: readonly unknown[],
): string | null {
  const said = time === undefined ? undefined : UNITS[time.format];
  if (time === undefined || said === undefined) return null;
  const values = records.map((record) => Number(valueAt(record, time.path) ?? Number.NaN));
  const areIn = (perSecond: number): boolean =>
    values.every((value) => value >= EARLIEST_S * perSecond && value < END_S * perSecond);
  if (areIn(said)) return null;
  const other = Object.keys(UNITS).find((name) => areIn(UNITS[name] ?? Number.NaN));
  if (other === undefined) return null;
  return `time.format is ${time.format}, and ${String(values[0])} at [${time.path.join(', ')}] is a time of our century in ${other} alone`;
}
