/** What the program reports that merges into tables of some size. */
import { z } from 'zod';

const mergeAtSizeSchema = z.object({
  way: z.string(),
  events: z.number(),
  seconds: z.number(),
  walMb: z.number(),
  /** Size of the primary key's index behind the merge. */
  keyMb: z.number(),
});

export const sizeReportSchema = z.object({ report: z.literal('size'), merges: z.array(mergeAtSizeSchema) });

export type MergeAtSize = z.output<typeof mergeAtSizeSchema>;
