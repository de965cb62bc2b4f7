/** How the order of a list and the bounds that its API takes fit together. */
import type { Description, TimeWord } from './description.ts';

/**
 * The bound from which a walk can be begun anew at any place: the upper one of a list that begins with its newest record, the
 * lower one of a list that begins with its oldest. @returns its parameter, `null` where there is none
 */
export function walkSideBound(order: Description['order'], time: TimeWord | undefined): string | null {
  switch (order) {
    case 'newest-first':
      return time?.until ?? null;
    case 'oldest-first':
      return time?.since ?? null;
    case 'none':
      return null;
  }
}
