/**
 * Whether the target is as the job has left it. What the state says of earlier runs is believed only then: fewer rows mean
 * that somebody deleted some, or restored an older dump. It says nothing about what the API has, and is no term of the proof.
 */
import { CountsDisagreeError } from '../../core/errors.ts';
import type { Settings } from '../../core/config.ts';
import type { Logger } from '../../core/logging.ts';
import { rejectedCount } from '../../load/copy/anomalies.ts';
import type { Database } from '../../load/postgres/database.ts';
import type { Target } from '../../load/schema/source.ts';
import type { Ownership } from '../../load/state/owner.ts';
import type { StateStore } from '../../load/state/state-store.ts';
import { countRows, isTargetUntouched, type TargetRows } from '../../load/state/target-rows.ts';

type RowSettings = Pick<Settings, 'full' | 'newRun' | 'acceptFewerRows'>;

/**
 * At a start, before anything is fetched.
 * @returns what is left, when rows of earlier runs are gone: only the run that walks everything again may remember it. Else `null`
 * @throws CountsDisagreeError when there are fewer rows than remembered, and no flag says what that means
 */
export async function checkRowsAtStart(
  found: TargetRows,
  target: Target,
  store: StateStore,
  settings: RowSettings,
  logger: Logger,
): Promise<TargetRows | null> {
  const { rows, remembered, hasLoaded, deletions, isSameFile } = found;
  const left = remembered ?? (hasLoaded ? 1 : 0);
  // More rows, in another file: emptied and filled again, with whatever rows. More in the same one are somebody's own.
  const isRefilled = remembered !== null && rows > remembered && !isSameFile;
  if (rows >= left && !isRefilled) {
    await store.rememberRows({ rows: remembered ?? rows, deletions });
    return null;
  }
  const isWalkedInFull = rows === 0 || isRefilled || settings.full || settings.newRun;
  if (!isWalkedInFull && !settings.acceptFewerRows) throw fewerRows(target, rows, left, 'Nothing was fetched.');
  if (!isWalkedInFull) {
    await store.rememberRows(found);
    logger.warn({ rows, remembered }, 'the target has fewer rows than the job left in it; that was accepted');
    return null;
  }
  logger.warn(
    { rows, remembered },
    rows === 0
      ? 'the target is empty, although earlier runs have loaded it; everything is walked again'
      : isRefilled
        ? 'the target was emptied or made anew, and has other rows than the job left in it; everything is walked again'
        : 'the target has fewer rows than the job left in it; everything is walked again',
  );
  return found;
}

/**
 * Before a run completes.
 * @param inserted by the run: see {@link isTargetUntouched}
 * @throws CountsDisagreeError when rows were deleted meanwhile
 */
export async function checkRowsAreThere(
  db: Database,
  store: StateStore,
  { source, epoch }: Pick<Ownership, 'source' | 'epoch'>,
  { inserted }: { readonly inserted: number },
  isAccepted: boolean,
): Promise<void> {
  const isUntouched = await db.persistently('looking at the target', () =>
    isTargetUntouched(db, source, { inserted, epoch }),
  );
  if (isUntouched) return;
  const found = await countRows(db, source);
  const { rows, remembered } = found;
  if (remembered !== null && rows < remembered && !isAccepted) {
    throw fewerRows(source.target, rows, remembered, 'They were deleted while the job was at work.');
  }
  // What others have put there is theirs to take back.
  await store.rememberRows({ ...found, rows: isAccepted ? rows : Math.min(rows, remembered ?? rows) });
}

/** Why the rejected events of a run are neither row nor anomaly, one sentence; `null` when they are kept. */
export async function whyRejectionsAreGone(
  db: Database,
  { runId, rejected }: { readonly runId: number; readonly rejected: number },
): Promise<string | null> {
  // How many there must be is not known: one that is served twice is kept once.
  if (rejected === 0 || (await rejectedCount(db, runId)) > 0) return null;
  return (
    `Run ${runId} rejected ${rejected} events, and ingestion.anomaly has none of them: somebody has emptied it, or a trigger ` +
    'leaves them out. npm start -- --full walks everything again.'
  );
}

function fewerRows({ name }: Target, rows: number, remembered: number, state: string): CountsDisagreeError {
  return new CountsDisagreeError(
    `public.${name} has ${rows} rows, and the job left ${remembered} in it: rows were deleted, or an older dump was ` +
      `restored. ${state} npm start -- --full walks everything again; npm start -- --accept-fewer-rows goes on with the rows ` +
      'that are there.',
  );
}
