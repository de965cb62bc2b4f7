/**
 * Which run this start works on: the unfinished one, or a new one behind the last complete one. Refuses what would mix
 * two sources or two ranges in one run, before anything is changed.
 */
import { ConfigurationError } from '../../core/errors.ts';
import type { Settings } from '../../core/config.ts';
import { isoText } from '../../core/iso-text.ts';
import type { Logger } from '../../core/logging.ts';
import { roundOf, type RoundKind, type Run, type RunIdentity } from '../../core/state.ts';
import type { StoredRun } from '../../load/state/run-reader.ts';
import type { DescribedSource, ListKind } from './described-source.ts';
import type { StateStore } from '../../load/state/state-store.ts';
import type { TargetRows } from '../../load/state/target-rows.ts';
import { turnRange, type TimeRange } from '../../core/walk-time.ts';

export type RunSettings = Pick<Settings, 'newRun' | 'reset' | 'full' | 'lookback' | 'since' | 'until' | 'follow'>;

export const LIST_OF_DATASYNC: ListKind = { isOldestFirst: false, canBeIncremental: true };

export function runIdentity(address: string, settings: RunSettings): RunIdentity {
  return { source: address, sinceMs: settings.since ?? null, untilMs: settings.until ?? null };
}

/** @throws ConfigurationError where new records do not stand at the top of the list */
export function refuseToFollow(
  { follow }: Pick<Settings, 'follow'>,
  described: Pick<DescribedSource, 'name' | 'order'> | null,
): void {
  if (follow === undefined || described === null || described.order === 'newest-first') return;
  throw new ConfigurationError(
    `--follow (FOLLOW) looks at the top of a list for what is new, and the list of ${described.name} is ${described.order} (order): each ` +
      'look would have to read all of it. Nothing was changed; leave --follow out, and start the job as often as that is wanted.',
  );
}

/**
 * @param dataSet what says which data set it is, for people
 * @throws ConfigurationError with the difference and the ways out; nothing has been changed.
 */
export function refuseOtherRun(
  identity: RunIdentity,
  found: { current: StoredRun | null; lastComplete: StoredRun | null },
  settings: RunSettings,
  dataSet: string,
): void {
  if (settings.reset || settings.newRun) return;
  const { current, lastComplete } = found;
  if (current !== null) {
    const differences = [
      difference(dataSet, current.source, identity.source),
      difference('--since (SINCE)', describeTime(current.sinceMs), describeTime(identity.sinceMs)),
      difference('--until (UNTIL)', describeTime(current.untilMs), describeTime(identity.untilMs)),
    ].filter((text) => text !== null);
    if (differences.length === 0) return;
    throw new ConfigurationError(
      `The target has an unfinished run that began with other settings: ${differences.join('; ')}. Nothing was changed. ` +
        'Start with the old settings to finish it, or with --new-run to give it up and begin again (rows are kept).',
    );
  }
  if (lastComplete !== null && lastComplete.source !== identity.source) {
    throw new ConfigurationError(
      `The target holds the events of another source: ${difference(dataSet, lastComplete.source, identity.source) ?? ''}. ` +
        'Nothing was changed. --source NAME gives it a table and a state of its own; --new-run adds it to the same table, --reset empties ' +
        'that first.',
    );
  }
}

/**
 * The run to work on, and whether it goes on from an earlier start. What a flag asks for is never overridden by what is
 * stored: an unfinished run that is not what the flags ask for is given up. One that was begun by the same flag is gone on
 * with, because a container that restarts must not begin anew each time.
 * @param rowsLeft where rows of earlier runs are gone: see {@link NewRun}. No run is gone on with then
 * @param round what is begun where there is nothing to go on with; `null`: a run that proves something
 */
export async function openRun(
  store: StateStore,
  identity: RunIdentity,
  settings: RunSettings,
  rowsLeft: TargetRows | null,
  round: RoundKind | null,
  logger: Logger,
  list: ListKind,
): Promise<{ run: Run; isResumed: boolean }> {
  const current = await store.currentRun();
  const why = current === null ? null : whyBegunAnew(current, identity, settings, rowsLeft !== null, round);
  if (current !== null && why === null) return { run: current, isResumed: true };
  const canGoOn = rowsLeft === null && list.canBeIncremental;
  const base = canGoOn ? await incrementalBase(store, identity, settings, round) : null;
  const floorMs = base === null ? null : floorBehind(base, round, settings);
  const isSameFloor = floorMs !== null && round === null && base?.lookbackMs === settings.lookback;
  const run = await store.createRun(identity, {
    incrementalSinceMs: floorMs,
    lookbackMs: settings.lookback,
    begunBy: settings.newRun ? 'new-run' : settings.full ? 'full' : floorMs === null ? null : round,
    // A round is not held against it, but believes no count that is smaller: that may be of what was asked for.
    baseTotal: isSameFloor ? base.passTotal : round === null ? null : (base?.passTotal ?? base?.baseTotal ?? null),
    baseRecent: isSameFloor ? base.recentPlaces : null,
    windows: [walkRange({ ...identity, incrementalSinceMs: floorMs }, list.isOldestFirst)],
    ...(current === null ? {} : { instead: current.runId }),
    ...(rowsLeft === null ? {} : { rowsLeft }),
  });
  if (current !== null) logger.info({ run: current.runId, why }, 'the unfinished run was given up; its rows are kept');
  return { run, isResumed: false };
}

/** All that a run walks, in walk time. */
export function walkRange(
  { sinceMs, incrementalSinceMs, untilMs }: Pick<Run, 'sinceMs' | 'incrementalSinceMs' | 'untilMs'>,
  isOldestFirst: boolean,
): TimeRange {
  return turnRange({ sinceMs: sinceMs ?? incrementalSinceMs, untilMs }, isOldestFirst);
}

/** Why the unfinished run is not gone on with; `null` when it is. */
function whyBegunAnew(
  current: Run,
  identity: RunIdentity,
  { newRun, full, lookback, follow }: RunSettings,
  areRowsGone: boolean,
  round: RoundKind | null,
): string | null {
  if (areRowsGone) return 'rows that it has left in the target are gone';
  if (current.counts.loaded === 0 && current.counts.rejected > 0) return 'all that it was served was rejected';
  if (newRun && !(current.begunBy === 'new-run' && isSame(current, identity))) return '--new-run';
  if (current.incrementalSinceMs === null) return null;
  // A run that proves something takes what the round would have taken, and decides where a round may wait for ever.
  if (roundOf(current) !== null && (follow === undefined || round === null))
    return 'a round of --follow, which proves nothing';
  if (full) return '--full, and it takes only what is new';
  // Unknown where an earlier version began it.
  return current.lookbackMs === null || current.lookbackMs === lookback ? null : 'another --lookback';
}

/** Events of the newest minute change places often: a round that only takes what is new looks at them again. */
const LATE_MS = 60_000;

/**
 * Where a run begins that goes on from another, epoch ms; `null`: it walks everything.
 * @param round `null`: it is to prove something
 */
export function floorBehind(
  base: Pick<Run, 'watermarkMs' | 'incrementalSinceMs' | 'begunBy'>,
  round: RoundKind | null,
  { lookback }: Pick<Settings, 'lookback'>,
): number | null {
  if (base.watermarkMs !== null) {
    const lowestMs = base.watermarkMs - (round === 'new-events' ? Math.min(LATE_MS, lookback) : lookback);
    // No API can be asked for what lies above a time before 1970: then all of the list is as new.
    return lowestMs < 0 ? null : lowestMs;
  }
  // A look may see events of the future alone. Its round knew no watermark then, and the next one begins where that began.
  return roundOf(base) === null ? null : base.incrementalSinceMs;
}

function isSame(one: RunIdentity, other: RunIdentity): boolean {
  return one.source === other.source && one.sinceMs === other.sinceMs && one.untilMs === other.untilMs;
}

/** After a complete run over all of the source only what is new since its watermark is taken, and a lookback for late arrivals. */
async function incrementalBase(
  store: StateStore,
  identity: RunIdentity,
  settings: RunSettings,
  round: RoundKind | null,
): Promise<StoredRun | null> {
  if (settings.full || settings.newRun || identity.sinceMs !== null) return null;
  return store.baseRun(identity.source, round ?? 'proof');
}

function difference(name: string, was: string, is: string): string | null {
  return was === is ? null : `${name} was ${was} and is now ${is}`;
}

function describeTime(ms: number | null): string {
  return isoText(ms) ?? 'not set';
}

export function logRunBegin(logger: Logger, run: Run, isResumed: boolean): void {
  const fields = {
    run: run.runId,
    source: run.source,
    since: isoText(run.sinceMs ?? run.incrementalSinceMs),
    until: isoText(run.untilMs),
    pages: run.counts.pages,
  };
  if (isResumed) logger.info(fields, 'going on with the unfinished run');
  else if (run.incrementalSinceMs !== null)
    logger.info(fields, 'run started: only what is new since the last complete run');
  else logger.info(fields, 'run started');
}
