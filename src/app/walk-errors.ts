/** Why the walk of a window is given up, in words for the person who reads it at night. */
import { GaveUpError } from '../core/errors.ts';
import type { PageRequest } from './api-client.ts';
import { ChainProgress } from './chain-progress.ts';
import { TopRestarts } from './top-restarts.ts';

type Where = Pick<PageRequest, 'windowId' | 'page'>;

/** Pages in a row without news. */
export function vainPages({ windowId, page, cursor }: Where & Pick<PageRequest, 'cursor'>): GaveUpError {
  const why =
    cursor === null
      ? ', although asked for by time: more events than a page holds share one instant, or the API repeats itself'
      : ': the API repeats itself';
  return new GaveUpError(
    `Window ${windowId}, page ${page}: ${ChainProgress.MAX_VAIN_PAGES} pages in a row brought no new event${why}. ` +
      'What was merged is safe.',
    { location: { windowId, page } },
  );
}

export function vainRestarts(windowId: number, page: number, detail: string): GaveUpError {
  return new GaveUpError(
    `Window ${windowId} was walked from its top ${TopRestarts.MAX_VAIN} times, and each time the cursor was stale before ` +
      `the walk came further than before: ${detail}. This endpoint cannot be asked by time. What was merged is safe; ` +
      'start again when requests come through faster.',
    { location: { windowId, page } },
  );
}

export function eventTooLarge({ windowId, page }: Where): GaveUpError {
  return new GaveUpError(
    `Window ${windowId}, page ${page}: a page of one event is larger than memory allows. ` +
      'Raise --max-bytes-in-flight. What was merged is safe.',
    { location: { windowId, page } },
  );
}
