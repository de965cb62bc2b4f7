/**
 * How far back does the data set go, in walk time, and does the endpoint support `until`? A few requests for one event each, most of
 * them at once: at most two round trips, whatever the age of the data.
 */
import { newestEvents, type ApiClient } from '../../api/api-client.ts';
import type { EndpointTraits } from './endpoint-traits.ts';
import type { PageEncoder } from '../../threads/page-encoder.ts';

const DAY_MS = 86_400_000;
/** Where the first round looks, behind the newest event. */
const DISTANCES_MS = [
  DAY_MS / 4,
  2 * DAY_MS,
  10 * DAY_MS,
  45 * DAY_MS,
  365 * DAY_MS,
  8 * 365 * DAY_MS,
  60 * 365 * DAY_MS,
];
/** It also looks near where evenly dense data would begin, by its newest page and the API's total. */
const EXPECTED_SHARES = [0.85, 0.95, 1.06, 1.2];
/** The second round: probes between the oldest event found and the first time with nothing before it. */
const REFINING_PROBES = 4;
/** An error of this share of the whole range is good enough. */
const FINE_SHARE = 0.25;
/** One event can have a wrong clock; an endpoint without time bounds contradicts each probe. */
const MIN_CONTRADICTIONS = 2;

export interface ProbeOptions {
  readonly client: ApiClient;
  readonly encoder: PageEncoder;
  readonly traits: EndpointTraits;
  readonly signal: AbortSignal;
  /** Gets a time before which little data lies, epoch ms: first one that is good enough to begin with. */
  readonly onFound: (oldestMs: number) => void;
}

interface Probe {
  readonly untilMs: number;
  /** The newest event up to then; `null` when there is none. */
  readonly foundMs: number | null;
}

/** Good enough to divide the work by, not to end it. Sets `traits.supportsTimeBounds` to false when probes contradict it. */
export async function probeOldest(
  from: {
    readonly newestMs: number;
    /** How long ago the data probably begins. */
    readonly expectedMs: number | null;
    /** Below it nothing can lie. */
    readonly bottomMs: number;
  },
  options: ProbeOptions,
): Promise<void> {
  const { newestMs, expectedMs, bottomMs } = from;
  const expected = expectedMs === null ? [] : EXPECTED_SHARES.map((share) => share * expectedMs);
  const distances = [...DISTANCES_MS, ...expected].filter((distance) => newestMs - distance > bottomMs);
  const first = await askAll(
    distances.map((distance) => newestMs - distance),
    1,
    options,
  );
  const contradictions = first.filter(
    ({ untilMs, foundMs }) => foundMs !== null && foundMs > untilMs + options.traits.widenedMs,
  );
  if (contradictions.length >= Math.min(MIN_CONTRADICTIONS, first.length) && first.length > 0) {
    options.traits.supportsTimeBounds = false;
    return;
  }
  if (first.length === 0) return;
  const { oldestMs, nothingBeforeMs } = summarise(first, newestMs, options.traits.widenedMs);
  const isFine = nothingBeforeMs !== null && oldestMs - nothingBeforeMs < FINE_SHARE * (newestMs - nothingBeforeMs);
  options.onFound(isFine ? nothingBeforeMs : oldestMs);
  if (isFine || nothingBeforeMs === null) return;
  const step = (oldestMs - nothingBeforeMs) / (REFINING_PROBES + 1);
  const between = Array.from({ length: REFINING_PROBES }, (_, index) => nothingBeforeMs + step * (index + 1));
  const second = summarise(
    [...first, ...(await askAll(between, first.length + 1, options))],
    newestMs,
    options.traits.widenedMs,
  );
  options.onFound(second.nothingBeforeMs ?? second.oldestMs);
}

/** Leaves out probes that brought nothing usable. */
async function askAll(times: readonly number[], firstNumber: number, options: ProbeOptions): Promise<Probe[]> {
  const settled = await Promise.allSettled(
    times.map(async (time, index) => {
      const untilMs = Math.floor(time);
      return { untilMs, foundMs: await probe(untilMs, firstNumber + index, options) };
    }),
  );
  return settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

function summarise(
  probes: readonly Probe[],
  newestMs: number,
  widenedMs: number,
): { oldestMs: number; nothingBeforeMs: number | null } {
  const found = probes.flatMap(({ untilMs, foundMs }) =>
    foundMs === null || foundMs > untilMs + widenedMs ? [] : [foundMs],
  );
  const oldestMs = Math.min(newestMs, ...found);
  const empty = probes.flatMap(({ untilMs, foundMs }) => (foundMs === null && untilMs <= oldestMs ? [untilMs] : []));
  return { oldestMs, nothingBeforeMs: empty.length === 0 ? null : Math.max(...empty) };
}

async function probe(untilMs: number, number: number, options: ProbeOptions): Promise<number | null> {
  const request = newestEvents(number, 1, options.signal, untilMs);
  const answer = await options.client.fetchPage(request);
  if (answer.kind === 'outside-range') return null;
  if (answer.kind !== 'page') throw new Error(`a probe for the range of times was answered with ${answer.kind}`);
  const { windowId, page } = request;
  const encoded = await options.encoder.encode({ windowId, page, instantMs: null }, answer.page);
  if (encoded.status === 'faulty') throw new Error(`a probe brought no page: ${encoded.detail}`);
  if (encoded.servedCount > 0 && encoded.times === null) throw new Error('a probe brought an event without a time');
  return encoded.times?.newestMs ?? null;
}
