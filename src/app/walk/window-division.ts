/**
 * How the windows under way are divided among idle walks. Pure: estimates in, cuts out.
 *
 * The newest page of a window shows how many events the window still has, if the data goes on like that. The API's total
 * shows better how many all windows have together. Events that the windows' own pages do not explain must lie somewhere in
 * the time that is left: they are spread over it evenly, so that a burst is searched for wherever it can be.
 */

/** Pages. Splitting less makes more requests and ends no sooner. */
const MIN_PAGES_TO_SPLIT = 1.3;
/** A narrower window would be narrower than its own border. */
const MIN_SPLIT_MS = 8;
/** A part of whole pages is made a little smaller: a slightly wrong estimate would cost a page. */
const WHOLE_PAGES_SHARE = 0.94;
/** An API may cut `until` to whole seconds, or days: then a bound between them would lose what lies above. */
const GRAINS_MS = [86_400_000, 3_600_000, 60_000, 1_000];
/** A part of time may become longer or shorter by this share of itself; for whole seconds, which are likely, by more. */
const ROUNDED_SHARE = 0.02;
const MIN_PART_OF_SECONDS_MS = 3_000;
/** Pages on their way may be a little less dense than the last one. */
const UNDER_WAY_MARGIN = 1.02;
/** With more pages than this a fraction of a page does not matter. */
const FEW_PAGES = 8;

export interface OpenWindow {
  /** Lower end, or where the data probably begins, epoch ms. */
  readonly fromMs: number;
  /** How far down it has been read, epoch ms. */
  readonly toMs: number;
  /** By its newest page; `null` when nothing is known. */
  readonly eventsPerMs: number | null;
  /** Asked for, but not read yet: what they have below a cut would be served twice. */
  readonly pagesUnderWay: number;
}

export interface Idle {
  /** Walks that have nothing to do. */
  readonly walks: number;
  /** Events that all windows together still have; `null` when nobody knows. */
  readonly remainingEvents: number | null;
  readonly pageSize: number;
}

interface Estimate {
  readonly index: number;
  readonly fromMs: number;
  /** Below the pages that are on their way, epoch ms. */
  readonly toMs: number;
  readonly pages: number;
  parts: number;
}

/** For each window, times to cut at, newest first; none for most. */
export function divideWindows(windows: readonly OpenWindow[], idle: Idle): number[][] {
  const estimates = estimate(windows, idle);
  for (let walks = idle.walks; walks > 0; walks -= 1) {
    const largest = findLargest(estimates);
    if (largest === null) break;
    largest.parts += 1;
  }
  const cuts = windows.map((): number[] => []);
  for (const window of estimates) if (window.parts > 1) cuts[window.index] = cutUp(window);
  return cuts;
}

function findLargest(estimates: readonly Estimate[]): Estimate | null {
  let largest: Estimate | null = null;
  for (const window of estimates) {
    const isDivisible =
      window.pages / window.parts >= MIN_PAGES_TO_SPLIT &&
      (window.toMs - window.fromMs) / (window.parts + 1) >= MIN_SPLIT_MS;
    if (!isDivisible) continue;
    if (largest === null || window.pages / window.parts > largest.pages / largest.parts) largest = window;
  }
  return largest;
}

function estimate(windows: readonly OpenWindow[], { remainingEvents, pageSize }: Idle): Estimate[] {
  const lengths = windows.map(({ fromMs, toMs }) => Math.max(0, toMs - fromMs));
  const own = windows.map(({ eventsPerMs }, index) => (eventsPerMs ?? 0) * (lengths[index] ?? 0));
  const explained = sum(own);
  const allMs = sum(lengths);
  const isTooMuch = remainingEvents !== null && explained > remainingEvents && explained > 0;
  const scale = isTooMuch ? remainingEvents / explained : 1;
  const unexplained = remainingEvents === null ? 0 : Math.max(0, remainingEvents - explained);
  return windows.map(({ fromMs, toMs, eventsPerMs, pagesUnderWay }, index) => {
    const length = lengths[index] ?? 0;
    const events = (own[index] ?? 0) * scale + (allMs === 0 ? 0 : (unexplained * length) / allMs);
    // The pages on their way are as dense as the last one, whatever the estimate says.
    const perMs = eventsPerMs ?? (length === 0 ? 0 : events / length);
    const underWay = pagesUnderWay * UNDER_WAY_MARGIN * pageSize;
    const inFlightMs = perMs === 0 ? 0 : Math.min(length, underWay / perMs);
    const leftShare = length === 0 ? 0 : (length - inFlightMs) / length;
    return { index, fromMs, toMs: toMs - inFlightMs, pages: (events * leftShare) / pageSize, parts: 1 };
  });
}

/** Equal parts; when there are few pages, whole pages in all but the topmost, so that no part ends in a nearly empty one. */
function cutUp({ fromMs, toMs, pages, parts }: Estimate): number[] {
  const wholePages = Math.floor(pages / parts);
  const partPages = pages / parts > FEW_PAGES || wholePages === 0 ? pages / parts : wholePages * WHOLE_PAGES_SHARE;
  const partMs = ((toMs - fromMs) * partPages) / pages;
  const grainMs =
    GRAINS_MS.find((grain) => grain <= partMs * ROUNDED_SHARE) ?? (partMs < MIN_PART_OF_SECONDS_MS ? 1 : 1_000);
  const cuts: number[] = [];
  for (let part = parts - 1; part > 0; part -= 1) {
    const atMs = Math.floor((fromMs + part * partMs) / grainMs) * grainMs;
    if (atMs > fromMs && atMs < (cuts.at(-1) ?? toMs)) cuts.push(atMs);
  }
  return cuts;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
