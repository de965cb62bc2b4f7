/** What people read of rejected events: why, how many, and what such an event looks like. Pure. */
import { REJECTED_REASONS } from '../../encode/rows/anomaly-reasons.ts';
import { displayable, type Rejection } from '../../load/copy/anomalies.ts';

const MAX_REASON_CHARACTERS = 160;
const MAX_KEYS = 12;
const MAX_KEY_CHARACTERS = 40;

/** `1001 for id: id-missing (such an event has "_id", "ts"), 20 for …` */
export function describeRejections(rejections: readonly Rejection[]): string {
  return rejections
    .map(({ field, reason, count, original }) => {
      const why = shortened(`${field}: ${reason}`, MAX_REASON_CHARACTERS);
      if (reason === REJECTED_REASONS.idNotUuid)
        return `${count} for ${why} (an empty table takes such ids with --id-type text)`;
      const keys = original === null ? null : describeKeys(original);
      return keys === null ? `${count} for ${why}` : `${count} for ${why} (such an event has ${keys})`;
    })
    .join(', ');
}

/** The keys of an event by its bytes, in their order; `null` when they are no JSON object. */
function describeKeys(original: Buffer): string | null {
  const keys = keysOf(original);
  if (keys === null) return null;
  if (keys.length === 0) return 'no keys';
  const shown = keys.slice(0, MAX_KEYS).map((key) => JSON.stringify(shortened(key, MAX_KEY_CHARACTERS)));
  return keys.length > MAX_KEYS ? `${shown.join(', ')} and ${keys.length - MAX_KEYS} more` : shown.join(', ');
}

function keysOf(original: Buffer): string[] | null {
  try {
    const event: unknown = JSON.parse(original.toString('utf8'));
    return typeof event === 'object' && event !== null && !Array.isArray(event) ? Object.keys(event) : null;
  } catch {
    return null;
  }
}

/** On one line: reasons and keys come from outside. */
function shortened(text: string, maxCharacters: number): string {
  const line = text.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim();
  return line.length > maxCharacters ? `${displayable(line, maxCharacters)}…` : displayable(line);
}
