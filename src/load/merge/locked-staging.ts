/** A staging table that a merge has locked: what its ledger says, held against what was acknowledged, and against its rows. */
import type { PoolClient } from 'pg';
import { StagingLostError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import { oneRow } from '../postgres/one-row.ts';
import type { Source } from '../schema/source.ts';
import { stagingNames, type StagingNames, type StagingTable } from '../schema/staging.ts';
import { sumLedger, type LedgerSums } from './ledger-fold.ts';

export interface StagedPages {
  readonly table: StagingTable;
  /** Acknowledged since the table was last empty. */
  readonly pages: number;
}

/** A locked staging table, and the sums of its ledger. */
export interface LockedStaging {
  readonly table: StagingTable;
  readonly canTruncate: boolean;
  readonly names: StagingNames;
  readonly sums: LedgerSums;
}

/**
 * @param acknowledged pages since the table was last empty; `null` for what an earlier start left
 * @throws Error when the ledger lacks acknowledged pages
 */
export async function readLocked(
  client: PoolClient,
  source: Source,
  { table, canTruncate, acknowledged }: Pick<LockedStaging, 'table' | 'canTruncate'> & { acknowledged: number | null },
  logger: Logger,
): Promise<LockedStaging> {
  const names = stagingNames(source, table);
  const sums = await sumLedger(client, names);
  if (acknowledged !== null) checkPages(sums, acknowledged, table, logger);
  return { table, canTruncate, names, sums };
}

function checkPages(sums: LedgerSums, acknowledged: number, table: StagingTable, logger: Logger): void {
  if (sums.pages < acknowledged) {
    throw new Error(
      `staging table ${table} has the ledger of ${sums.pages} pages, and ${acknowledged} were acknowledged: ` +
        'not merged, so that nothing is counted as safe that is not there',
    );
  }
  if (sums.pages === acknowledged) return;
  // A page whose COPY was given up without knowing that it had committed: its rows are there, and so is its ledger row.
  logger.debug({ table, ledger: sums.pages, acknowledged }, 'staging has more pages than acknowledged');
}

/**
 * What is neither inserted nor updated counts as duplicates, so rows that staging lost would look like them. Counts the rows when it matters.
 * @param known rows of which the merge knows what became of them
 * @throws StagingLostError
 */
export async function checkRows(client: PoolClient, merged: readonly LockedStaging[], known: number): Promise<void> {
  if (merged.reduce((sum, { sums }) => sum + sums.loaded, 0) === known) return;
  for (const { names, sums } of merged) {
    const sql = `SELECT count(*)::int AS staged FROM ${names.rows}`;
    const { staged } = await oneRow<{ staged: number }>(client, sql);
    if (staged !== sums.loaded) {
      throw new StagingLostError(
        `${names.rows} has ${staged} rows, and its ledger says ${sums.loaded}: somebody has changed it; going on from what was merged`,
      );
    }
  }
}
