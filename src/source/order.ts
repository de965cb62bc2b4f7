/** How the order of a list and the bounds that its API takes fit together. */
import type { WalkBounds } from '../core/walk-time.ts';
import type { Description } from './description.ts';
import { isSamePath } from './kinds.ts';

type Ordered = Pick<Description, 'order' | 'time'>;

/** Which ends of a walk the API can be asked for. A list without an order by time is read from its top, whatever it takes. */
export function walkBounds({ order, time }: Ordered): WalkBounds {
  const since = time?.since !== undefined;
  const until = time?.until !== undefined;
  switch (order) {
    case 'newest-first':
      return { since, until };
    case 'oldest-first':
      return { since: until, until: since };
    case 'none':
      return { since: false, until: false };
  }
}

/** Whether a walk can begin at any time: the API takes the bound on the side where its list begins. */
export function canBeginByTime(source: Ordered): boolean {
  return walkBounds(source).until;
}

/** Whether the list can be divided into windows, because a walk can begin at any time and end at any other. */
export function isDivisible(source: Ordered): boolean {
  const { since, until } = walkBounds(source);
  return since && until;
}

/** Whether a later run needs only what is new: it can begin at a time, or sees by the times of records where it may end. */
export function canBeIncremental(source: Ordered): boolean {
  return source.order === 'newest-first' || canBeginByTime(source);
}

/** Whether the next page is asked for by the time of the last record: then records that are not in order are missed. */
export function isByTime({ next, time }: Pick<Description, 'next' | 'time'>): boolean {
  return next.kind === 'lastRecord' && time !== undefined && isSamePath(next.path, time.path);
}
