/** Whether an inclusive page begins with the record that it was asked for from. */
import { toSendBack, valueAt } from './answer-values.ts';
import type { Description } from './description.ts';
import { isByTime } from './order.ts';
import { readKeyAndCount } from './positions.ts';

interface NamedPage {
  readonly records: number;
  readonly firstRecord: unknown;
  readonly position: string | null;
}

/**
 * Why a page is none to go on from, half a sentence; `null` when it is. An answer to a record that the API has no more may be
 * empty, or begin anywhere.
 */
export function lacksNamedRecord(
  description: Description,
  { records, firstRecord, position }: NamedPage,
): string | null {
  const { next } = description;
  if (next.kind !== 'lastRecord' || !next.inclusive || position === null) return null;
  const { key, count } = next.within === null ? { key: position, count: null } : readKeyAndCount(position);
  // Behind the first page of a key nothing is named.
  if (count !== null && count !== next.within?.first) return null;
  const named = `the record whose [${next.path.join(', ')}] asked for it`;
  if (records === 0) return `a page is empty that must begin with ${named}`;
  // A broken record may be the named one.
  if (firstRecord === undefined) return null;
  const first = toSendBack(valueAt(firstRecord, next.path));
  if (first.kind === 'text' && (first.text === key || !isBehind(first.text, key, description))) return null;
  return `a page does not begin with ${named}`;
}

/** Times may be written in several ways, and an API may look at them as coarsely as it likes: then a page begins before the named record. */
function isBehind(first: string, key: string, { next, time, order }: Description): boolean {
  if (time === undefined || !isByTime({ next, time })) return true;
  const read = (text: string): number => (time.format === 'iso' ? Date.parse(text) : Number(text));
  const difference = read(first) - read(key);
  return order === 'newest-first' ? difference < 0 : difference > 0;
}
