/** Takes the target for this process: schema, settings that must fit what is there, ownership. */
import { hostname } from 'node:os';
import { ConfigurationError } from '../../core/errors.ts';
import type { Settings } from '../../core/config.ts';
import type { Logger } from '../../core/logging.ts';
import type { Database } from '../../load/postgres/database.ts';
import { ensureTarget, readTargetTypes, refuseUnfitTarget } from '../../load/schema/ingested-events.ts';
import { migrate } from '../../load/schema/migrate.ts';
import { claimTarget, type Ownership } from '../../load/state/owner.ts';
import { readCurrentRun, readLastCompleteRun } from '../../load/state/run-reader.ts';
import { refuseOtherRun, runIdentity } from './run-setup.ts';

/**
 * The schema is brought up to date under the advisory lock, so that a job of an earlier version that is at work is not
 * disturbed.
 * @throws ConfigurationError before any row is changed, TargetBusyError
 */
export function takeTarget(db: Database, source: string, settings: Settings, logger: Logger): Promise<Ownership> {
  return claimTarget(db, {
    host: hostname(),
    pid: process.pid,
    logger,
    prepare: async () => {
      await refuseUnfitTarget(db, settings.onConflict);
      await migrate(db);
      const found = { current: await readCurrentRun(db), lastComplete: await readLastCompleteRun(db) };
      refuseOtherRun(runIdentity(source, settings), found, settings);
      const target = await readTargetTypes(db);
      const dropped = await ensureTarget(
        db,
        target?.types ?? { id: 'uuid', sessionId: 'uuid', userId: 'uuid' },
        settings.onConflict,
      );
      warnOfDroppedPages(dropped, logger);
    },
  });
}

export function warnOfDroppedPages(pages: number, logger: Logger): void {
  if (pages === 0) return;
  logger.warn({ pages }, 'staged pages had ids of other types than the target: they are fetched again');
}

/** `--id-type` cannot change what a table with rows is. @throws ConfigurationError */
export function refuseOtherIdType(
  target: Awaited<ReturnType<typeof readTargetTypes>>,
  idType: Settings['idType'],
  db: Pick<Database, 'described'>,
): void {
  if (idType === 'auto' || target === null || target.empty || target.types.id === idType) return;
  throw new ConfigurationError(
    `--id-type ${idType} was asked for (ID_TYPE), but public.ingested_events in ${db.described} has rows, and its id is ` +
      `${target.types.id}. Nothing was changed: leave the flag out, use another database, or --reset to empty the table first.`,
  );
}
