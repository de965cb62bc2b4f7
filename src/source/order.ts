/** How the order of a list and the bounds that its API takes fit together. */
import type { Description } from './description.ts';

/**
 * Whether the list can be begun at any time, and divided into windows: its newest record comes first, and the API takes both bounds.
 * A list with another order, or with one bound, is read as one chain from its top.
 */
export function isDivisible({ order, time }: Pick<Description, 'order' | 'time'>): boolean {
  return order === 'newest-first' && time?.since !== undefined && time.until !== undefined;
}
