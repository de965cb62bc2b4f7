/** Why the walk of a window is given up, in words for the person who reads it at night. */
import { GaveUpError } from '../../core/errors.ts';
import type { PageRequest } from '../../api/api-client.ts';
import { ChainProgress } from './chain-progress.ts';
import { TopRestarts } from './top-restarts.ts';

type Where = Pick<PageRequest, 'windowId' | 'page'>;

/** Pages in a row without news. */
export function noNewEvents({ windowId, page }: Where): GaveUpError {
  return new GaveUpError(
    `Window ${windowId}, page ${page}: ${ChainProgress.MAX_VAIN_PAGES} pages in a row brought no new event: the API repeats ` +
      'itself. What was merged is safe.',
    { location: { windowId, page } },
  );
}

/** @param why what ended the last of the walks, as it was told; `null` when nothing was */
export function noProgress(
  { windowId, page, untilMs }: Where & Pick<PageRequest, 'untilMs'>,
  why: string | null,
): GaveUpError {
  const told = why === null ? '' : `: ${why}`;
  const text =
    untilMs === null
      ? `was walked from its top ${TopRestarts.MAX_VAIN} times, and each time the cursor was stale before the walk came ` +
        `further than before${told}. This walk cannot go on by time. What was merged is safe; start again when requests ` +
        'come through faster.'
      : `was walked from ${isoTime(untilMs)} down ${TopRestarts.MAX_VAIN} times, and each time brought no new event before ` +
        `its cursor ended${told}. Either more events than a page holds share one instant, or the API repeats itself. ` +
        'What was merged is safe.';
  return new GaveUpError(`Window ${windowId}, page ${page}, ${text}`, { location: { windowId, page } });
}

function isoTime(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? `${ms} ms` : date.toISOString();
}

export function eventTooLarge({ windowId, page }: Where): GaveUpError {
  return new GaveUpError(
    `Window ${windowId}, page ${page}: a page of one event is larger than memory allows. ` +
      'Raise --max-bytes-in-flight. What was merged is safe.',
    { location: { windowId, page } },
  );
}
