/** Times as an API takes them for bounds. */
import type { TimeWord } from './description.ts';

const DAY_MS = 86_400_000;

/**
 * A bound in the API's own format, one step of its granularity further out, so that it does not matter whether the API takes
 * bounds as inclusive, nor that times in between are rounded.
 * @param ms since 1970, fractions allowed
 * @returns `null`: it lies before 1970. That is no bound of any API, and many take none with a minus
 */
export function writeBound(ms: number, side: 'since' | 'until', { format, granularity }: TimeWord): string | null {
  const stepUs = Math.max(1, Math.round(granularity * 1000));
  const us = ms * 1000;
  const outer = side === 'since' ? Math.floor(us / stepUs) * stepUs - stepUs : Math.ceil(us / stepUs) * stepUs + stepUs;
  // Where a lower one is exclusive, 1970 itself would leave out its first records.
  if (outer < 0 && side === 'since') return null;
  const boundUs = Math.max(0, outer);
  switch (format) {
    case 'iso':
      return isoText(boundUs, granularity);
    case 's':
      return decimalText(boundUs, 6, granularity < 1 ? 6 : granularity < 1000 ? 3 : 0);
    case 'ms':
      return decimalText(boundUs, 3, granularity < 1 ? 3 : 0);
  }
}

function isoText(us: number, granularity: number): string {
  const whole = new Date(Math.floor(us / 1000)).toISOString();
  if (granularity >= DAY_MS) return whole.slice(0, 10);
  if (granularity >= 1000) return whole.replace(/\.\d+Z$/, 'Z');
  return granularity >= 1 ? whole : whole.replace('Z', `${String(us % 1000).padStart(3, '0')}Z`);
}

/** @param unitDigits microseconds in the unit, as a power of ten */
function decimalText(us: number, unitDigits: number, fractionDigits: number): string {
  const digits = String(us).padStart(unitDigits + 1, '0');
  const whole = digits.slice(0, -unitDigits);
  return fractionDigits === 0 ? whole : `${whole}.${digits.slice(-unitDigits).slice(0, fractionDigits)}`;
}
