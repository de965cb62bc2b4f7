/** Takes the target for this process: schema, settings that must fit what is there, ownership. */
import { hostname } from 'node:os';
import { ConfigurationError } from '../../core/errors.ts';
import type { ColumnPlan } from '../../core/column-plan.ts';
import type { Settings } from '../../core/config.ts';
import type { IdColumnTypes } from '../../core/encoded-page.ts';
import type { Logger } from '../../core/logging.ts';
import { undecidedColumns } from '../../encode/rows/event-columns.ts';
import type { Database } from '../../load/postgres/database.ts';
import { ensureTarget, readTargetTypes, refuseUnfitTarget } from '../../load/schema/ingested-events.ts';
import { migrate } from '../../load/schema/migrate.ts';
import { registerSource, tableOf, targetNamed, type Target } from '../../load/schema/source.ts';
import { claimTarget, type Ownership } from '../../load/state/owner.ts';
import { readCurrentRun, readLastCompleteRun } from '../../load/state/run-reader.ts';
import type { DescribedSource } from './described-source.ts';
import { refuseOtherRun, runIdentity } from './run-setup.ts';

interface TakenSource {
  readonly name: string;
  readonly address: string;
  readonly plan?: ColumnPlan | undefined;
  readonly table?: string | undefined;
  readonly described?: Pick<DescribedSource, 'description'> | null;
}

/**
 * The schema is brought up to date under the advisory lock, so that a job of an earlier version that is at work is not
 * disturbed.
 * @throws ConfigurationError before any row is changed, TargetBusyError
 */
export function takeTarget(
  db: Database,
  { name, address, plan, table = tableOf(name), described }: TakenSource,
  settings: Settings,
  logger: Logger,
  standby: AbortSignal | null = null,
): Promise<Ownership> {
  return claimTarget(db, {
    standby,
    name,
    host: hostname(),
    pid: process.pid,
    logger,
    prepare: async () => {
      await refuseUnfitTarget(db, targetNamed(table, db, plan), settings.onConflict);
      await migrate(db, logger);
      const source = await registerSource(db, { name, table, plan, description: described?.description });
      const found = { current: await readCurrentRun(db, source), lastComplete: await readLastCompleteRun(db, source) };
      refuseOtherRun(runIdentity(address, settings), found, settings, dataSetOf(described));
      const target = await readTargetTypes(db, source.target);
      const dropped = await ensureTarget(db, source, target?.types ?? uuidsOf(source.target), settings.onConflict);
      warnOfDroppedPages(dropped, logger);
      return source;
    },
  });
}

function dataSetOf(described: TakenSource['described']): string {
  const isDescribed = described !== null && described !== undefined;
  return isDescribed ? 'the description, with what its variables stand for,' : 'source (API_BASE_URL)';
}

/** Of an empty table the types can still change, when the first records decide them. */
function uuidsOf({ plan }: Target): IdColumnTypes {
  return Object.fromEntries(undecidedColumns(plan).map(({ decidedBy }) => [decidedBy, 'uuid']));
}

export function warnOfDroppedPages(pages: number, logger: Logger): void {
  if (pages === 0) return;
  logger.warn({ pages }, 'staged pages had ids of other types than the target: they are fetched again');
}

/** `--id-type` cannot change what a table with rows is. @throws ConfigurationError */
export function refuseOtherIdType(
  found: Awaited<ReturnType<typeof readTargetTypes>>,
  target: Target,
  idType: Settings['idType'],
): void {
  if (idType === 'auto' || found === null || found.empty || found.types.id === idType) return;
  throw new ConfigurationError(
    `--id-type ${idType} was asked for (ID_TYPE), but ${target.described} has rows, and its id is ` +
      `${found.types.id}. Nothing was changed: leave the flag out, use another database, or --reset to empty the table first.`,
  );
}
