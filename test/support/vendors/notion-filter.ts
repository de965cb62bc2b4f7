/** Filters by the times of a page, as developers.notion.com/reference/filter-data-source-entries says: alone, or under `and` and `or`. */
import { z } from 'zod';

export interface PageTimes {
  readonly created_time: string;
  readonly last_edited_time: string;
}

const CONDITION = z.strictObject({
  equals: z.string().optional(),
  before: z.string().optional(),
  after: z.string().optional(),
  on_or_before: z.string().optional(),
  on_or_after: z.string().optional(),
});
const OF_TIME = z.union([
  z.strictObject({ timestamp: z.literal('created_time'), created_time: CONDITION }),
  z.strictObject({ timestamp: z.literal('last_edited_time'), last_edited_time: CONDITION }),
]);

export const NOTION_FILTER = z.union([
  OF_TIME,
  z.strictObject({ and: z.array(OF_TIME) }),
  z.strictObject({ or: z.array(OF_TIME) }),
]);

/** Whether a page is asked for. */
export function selectionOf(filter: z.output<typeof NOTION_FILTER> | undefined): (page: PageTimes) => boolean {
  if (filter === undefined) return () => true;
  if ('and' in filter) return (page) => filter.and.every((part) => fits(page, part));
  if ('or' in filter) return (page) => filter.or.some((part) => fits(page, part));
  return (page) => fits(page, filter);
}

function fits(page: PageTimes, filter: z.output<typeof OF_TIME>): boolean {
  const atMs = Date.parse(page[filter.timestamp]);
  const is = filter.timestamp === 'created_time' ? filter.created_time : filter.last_edited_time;
  return (
    (is.equals === undefined || atMs === Date.parse(is.equals)) &&
    (is.before === undefined || atMs < Date.parse(is.before)) &&
    (is.after === undefined || atMs > Date.parse(is.after)) &&
    (is.on_or_before === undefined || atMs <= Date.parse(is.on_or_before)) &&
    (is.on_or_after === undefined || atMs >= Date.parse(is.on_or_after))
  );
}
