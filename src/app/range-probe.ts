/**
 * How far back does the data set go, and does the endpoint honour `until`? A few requests for one event each, most of
 * them at once: two round trips whatever the age of the data.
 */
import type { Logger } from '../core/logging.ts';
import type { ApiClient } from './api-client.ts';
import type { EndpointTraits } from './api-stream-reader.ts';
import type { PageEncoder } from './page-encoder.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** How far behind the newest event the first round looks. */
const DISTANCES_MS = [
  6 * HOUR_MS,
  DAY_MS,
  4 * DAY_MS,
  15 * DAY_MS,
  60 * DAY_MS,
  365 * DAY_MS,
  5 * 365 * DAY_MS,
  60 * 365 * DAY_MS,
];
/** How many more, between the oldest event found and the first time that has nothing before it. */
const REFINING_PROBES = 4;
/** Windows are named by number; probes belong to none. */
const NO_WINDOW = 0;

export interface ProbeOptions {
  readonly client: ApiClient;
  readonly encoder: PageEncoder;
  readonly traits: EndpointTraits;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Finds a time before which little or nothing lies, epoch ms: good for dividing the work, not for ending it. Sets
 * `traits.honoursWindows`. `null` when it could not be told.
 */
export async function probeOldest(newestMs: number, options: ProbeOptions): Promise<number | null> {
  let probes = 0;
  const newestUpTo = async (untilMs: number): Promise<number | null> => {
    probes += 1;
    const found = await probe(untilMs, probes, options);
    // Widened bounds may let one more millisecond in; anything later was not asked for.
    if (found !== null && found > untilMs + 2) options.traits.honoursWindows = false;
    return found;
  };
  const first = await round(
    DISTANCES_MS.map((distance) => newestMs - distance),
    newestUpTo,
  );
  if (!options.traits.honoursWindows || first.length === 0) return null;
  const { oldestMs, nothingBeforeMs } = summarise(first, newestMs);
  if (nothingBeforeMs === null) return oldestMs;
  const step = (oldestMs - nothingBeforeMs) / (REFINING_PROBES + 1);
  const between = Array.from({ length: REFINING_PROBES }, (_, index) => nothingBeforeMs + step * (index + 1));
  const second = summarise([...first, ...(await round(between, newestUpTo))], newestMs);
  return second.nothingBeforeMs ?? second.oldestMs;
}

interface Probe {
  readonly untilMs: number;
  readonly foundMs: number | null;
}

async function round(
  times: readonly number[],
  newestUpTo: (untilMs: number) => Promise<number | null>,
): Promise<Probe[]> {
  const settled = await Promise.allSettled(
    times.map(async (time) => {
      const untilMs = Math.floor(time);
      return { untilMs, foundMs: await newestUpTo(untilMs) };
    }),
  );
  return settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

function summarise(probes: readonly Probe[], newestMs: number): { oldestMs: number; nothingBeforeMs: number | null } {
  const found = probes.flatMap(({ foundMs }) => (foundMs === null ? [] : [foundMs]));
  const empty = probes.flatMap(({ untilMs, foundMs }) => (foundMs === null ? [untilMs] : []));
  return {
    oldestMs: Math.min(newestMs, ...found),
    nothingBeforeMs: empty.length === 0 ? null : Math.max(...empty),
  };
}

/** Time of the newest event up to a time; `null` when there is none. */
async function probe(untilMs: number, number: number, options: ProbeOptions): Promise<number | null> {
  const answer = await options.client.fetchPage({
    windowId: NO_WINDOW,
    page: number,
    limit: 1,
    cursor: null,
    cursorReceivedAtMs: null,
    sinceMs: null,
    untilMs,
    signal: options.signal,
    reask: false,
  });
  if (answer.kind === 'outside-range') return null;
  if (answer.kind !== 'page') throw new Error(`a probe for the range of times was answered with ${answer.kind}`);
  const encoded = await options.encoder.encode(NO_WINDOW, number, answer.page);
  if (encoded.status === 'faulty') throw new Error(`a probe for the range of times brought no page: ${encoded.detail}`);
  if (encoded.servedCount > 0 && encoded.times === null) throw new Error('a probe brought an event without a time');
  return encoded.times?.newestMs ?? null;
}
