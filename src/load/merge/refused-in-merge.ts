/**
 * The slow way into the target, for rows that do not get there: PostgreSQL refused the merge as a whole (a unique index on
 * another column, a trigger, a foreign key, a check, a policy), or the target has triggers, which can skip rows without an
 * error.
 *
 * Refused rows are found by moving halves under savepoints, small parts row by row (row-by-row.ts); skipped ones by looking
 * what is there. Both are set aside as anomalies, and all others are moved. Each round tries the best row of each id, and the
 * next round the next best of those that did not get there. So the result does not depend on how rows were batched.
 *
 * A row that would change nothing is not tried: its id has a row already, so it is a duplicate whatever the target thinks of
 * it now.
 */
import type { PoolClient } from 'pg';
import { ConfigurationError } from '../../core/errors.ts';
import type { Logger } from '../../core/logging.ts';
import { isAboutRows } from '../postgres/database-errors.ts';
import { oneRow } from '../postgres/one-row.ts';
import {
  stagedColumns,
  targetColumns,
  changesNothing,
  conflictClause,
  winnerFirst,
  type MergeScope,
  type MovedRows,
} from './merge-sql.ts';
import { RowByRow, candidatesOf, movedOf, refusedOf, type Range } from './row-by-row.ts';
import { leftOutOf, setAsideAll } from './set-aside.ts';
import { checkAllAreThere, skippedRows } from './watched-triggers.ts';

/** Rows of a part that is moved row by row: finding one among them costs less than ten more halves. */
const ROW_BY_ROW = 256;
/** After this many refusals without a row that is accepted, rows from everywhere are tried: is it the whole table? */
const REFUSED_IN_A_ROW = 1_000;
const SAMPLE_ROWS = 500;
/** So few rows can all be bad events: one bad event alone must not end every nightly job. PostgreSQL must have refused them for their values. */
const FEW_ROWS = 20;
const PROGRESS_EVERY_MS = 5_000;
const UNIQUE_VIOLATION = '23505';
const EXCLUSION_VIOLATION = '23P01';

interface MovedAndRefused extends MovedRows {
  /** Staged rows, refused or skipped. */
  readonly refused: number;
}

/**
 * In the merge's transaction, before anything is moved.
 * @throws ConfigurationError when no row at all is accepted, and the refusals speak against the table and not against its events
 */
export async function mergeAllButRefused(
  client: PoolClient,
  scope: MergeScope,
  logger: Logger,
): Promise<MovedAndRefused> {
  const { rows } = scope.names;
  const leftOut = leftOutOf(scope);
  const isWatched = scope.plan.watchedTriggers.length > 0;
  // Rows are joined by their place below; the planner must know how many there are.
  await client.query(`ANALYZE ${rows}`);
  await client.query(`CREATE UNLOGGED TABLE ${leftOut} AS SELECT ctid AS tid, id, 0 AS round FROM ${rows} LIMIT 0`);
  await client.query(`CREATE INDEX ON ${leftOut} (tid)`);
  const sum = { inserted: 0, updated: 0, refused: 0 };
  const rounds = new Rounds(client, scope, await hasAcceptedBefore(client, scope.runId), logger);
  for (let round = 1; ; round += 1) {
    const candidates = await pickCandidates(client, scope, round);
    if (candidates === 0) break;
    await rounds.move(candidates);
    const skipped = isWatched ? await skippedRows(client, scope) : [];
    const refused = await setAsideAll(client, scope, round, skipped);
    const moved = await countMoved(client, scope, isWatched);
    for (const relation of [candidatesOf(scope), movedOf(scope), refusedOf(scope)])
      await client.query(`DROP TABLE ${relation}`);
    sum.inserted += moved.inserted;
    sum.updated += moved.updated;
    sum.refused += refused;
    if (refused === 0) break;
  }
  if (isWatched) await checkAllAreThere(client, scope);
  await client.query(`DROP TABLE ${leftOut}`);
  return sum;
}

/** Whether an earlier merge of the run has moved a row: old events may all be refused where new ones are not. */
async function hasAcceptedBefore(client: PoolClient, runId: number): Promise<boolean> {
  const { rowCount } = await client.query('SELECT FROM ingestion.run WHERE run_id = $1 AND inserted + updated > 0', [
    runId,
  ]);
  return rowCount === 1;
}

/**
 * Numbers the rows to try from 1: the best row of each id, and after the first round the best remaining row of each id that
 * the round before left out. @returns how many there are; with 0 there is no table of candidates
 */
async function pickCandidates(client: PoolClient, scope: MergeScope, round: number): Promise<number> {
  const [candidates, leftOut] = [candidatesOf(scope), leftOutOf(scope)];
  const { sql } = scope.source.target;
  const again =
    round === 1
      ? ''
      : `WHERE s.id IN (SELECT id FROM ${leftOut} WHERE round = ${round - 1}) AND s.ctid NOT IN (SELECT tid FROM ${leftOut})`;
  const { rowCount } = await client.query(
    `CREATE UNLOGGED TABLE ${candidates} AS
     SELECT row_number() OVER (ORDER BY s.source_order)::int AS ordinal, s.tid, s.id,
            EXISTS (SELECT FROM ${sql} t WHERE t.id = s.id) AS was_there
       FROM (
         SELECT DISTINCT ON (s.id) s.*, s.ctid AS tid FROM ${scope.names.rows} s ${again}
          ORDER BY s.id, ${winnerFirst(scope.source.target, scope.onConflict)}
       ) s WHERE NOT EXISTS (SELECT FROM ${sql} t WHERE t.id = s.id AND ${changesNothing(scope, 's')})
      ORDER BY 1`,
  );
  if ((rowCount ?? 0) === 0) {
    await client.query(`DROP TABLE ${candidates}`);
    return 0;
  }
  await client.query(`CREATE INDEX ON ${candidates} (ordinal)`);
  await client.query(`ANALYZE ${candidates}`);
  await client.query(`CREATE UNLOGGED TABLE ${movedOf(scope)} (ordinal int UNIQUE)`);
  await client.query(`CREATE UNLOGGED TABLE ${refusedOf(scope)} (ordinal int PRIMARY KEY, state text, reason text)`);
  return rowCount ?? 0;
}

/** Moves the candidates of one round after the other. */
class Rounds {
  readonly #client: PoolClient;
  readonly #scope: MergeScope;
  readonly #hasRunAccepted: boolean;
  readonly #logger: Logger;
  readonly #rowByRow: RowByRow;
  /** A row was accepted by the statement that refuses others. */
  #hasAccepted = false;
  #candidates = 0;
  /** Of this round. */
  #refused = 0;
  /** Refusals after which rows from everywhere are tried next. */
  #sampleAt = REFUSED_IN_A_ROW;
  #toldMs = performance.now();

  constructor(client: PoolClient, scope: MergeScope, hasRunAccepted: boolean, logger: Logger) {
    this.#hasRunAccepted = hasRunAccepted;
    this.#client = client;
    this.#scope = scope;
    this.#logger = logger;
    this.#rowByRow = new RowByRow(client, scope);
  }

  /** What was refused is tried again as long as that helps: a key may point into the same table. */
  async move(candidates: number): Promise<void> {
    this.#candidates = candidates;
    this.#refused = 0;
    this.#sampleAt = REFUSED_IN_A_ROW;
    await this.#moveRange({ from: 1, to: this.#candidates });
    while (this.#refused > 0) {
      const again = await this.#rowByRow.tryRefusedAgain();
      if (again === 0) break;
      this.#hasAccepted = true;
      this.#refused -= again;
    }
    if (this.#refused > 0 && !this.#hasAccepted) await this.#refuseTableUnlessFew();
  }

  async #moveRange(range: Range): Promise<void> {
    const { from, to } = range;
    const moved = await this.#moveTogether(range);
    if (moved !== null) {
      this.#hasAccepted ||= moved > 0;
      return;
    }
    if (to - from < ROW_BY_ROW) {
      const { accepted, refused } = await this.#rowByRow.move(range);
      this.#hasAccepted ||= accepted > 0;
      this.#refused += refused;
      await this.#checkProgress(to);
      return;
    }
    const middle = from + Math.floor((to - from) / 2);
    await this.#moveRange({ from, to: middle });
    await this.#moveRange({ from: middle + 1, to });
  }

  /** @returns how many rows were made or changed; `null` when PostgreSQL refused them */
  async #moveTogether({ from, to }: Range): Promise<number | null> {
    const client = this.#client;
    const scope = this.#scope;
    const candidates = candidatesOf(scope);
    await client.query('SAVEPOINT part');
    try {
      const { rowCount } = await client.query(
        `WITH moved AS (
           INSERT INTO ${scope.source.target.sql} AS t (${targetColumns(scope.source.target)})
           SELECT ${stagedColumns(scope.source.target)} FROM ${candidates} c JOIN ${scope.names.rows} s ON s.ctid = c.tid
            WHERE c.ordinal BETWEEN $1 AND $2 ORDER BY s.id ${conflictClause(scope)}
           RETURNING t.id
         )
         INSERT INTO ${movedOf(scope)}
         SELECT c.ordinal FROM moved LEFT JOIN ${candidates} c ON c.id = moved.id AND c.ordinal BETWEEN $1 AND $2`,
        [from, to],
      );
      await client.query('RELEASE SAVEPOINT part');
      return rowCount ?? 0;
    } catch (error) {
      if (!isAboutRows(error)) throw error;
      await client.query('ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part');
      return null;
    }
  }

  async #checkProgress(tried: number): Promise<void> {
    if (!this.#hasAccepted && this.#refused >= this.#sampleAt) {
      this.#sampleAt = this.#refused + REFUSED_IN_A_ROW;
      const states = await this.#rowByRow.firstRefusals();
      if (states.length >= REFUSED_IN_A_ROW) {
        const isSuspect = this.#condemnsTable(states);
        if (isSuspect && (await this.#rowByRow.acceptedOf(SAMPLE_ROWS, this.#candidates)) === 0)
          await this.#refuseTable();
        this.#hasAccepted = true;
      }
    }
    if (performance.now() - this.#toldMs < PROGRESS_EVERY_MS) return;
    this.#toldMs = performance.now();
    const [refused, of] = [this.#refused, this.#candidates];
    this.#logger.info({ tried, refused, of }, 'the target refuses rows: they are being found one by one');
  }

  /** Events that were set aside before are bad events still: a run that serves only them again says nothing of the table. */
  async #refuseTableUnlessFew(): Promise<void> {
    if (this.#condemnsTable(await this.#rowByRow.firstRefusals())) await this.#refuseTable();
  }

  /** Whether such refusals, and nothing accepted beside them, speak against the table, and not against its events. */
  #condemnsTable(states: readonly string[]): boolean {
    // A key that is taken shows that the table has taken a row with it.
    const others = states.filter((state) => state !== UNIQUE_VIOLATION && state !== EXCLUSION_VIOLATION);
    if (others.some((state) => !/^(22|23|44|54)/.test(state) && state !== 'P0001')) return true;
    return others.length > FEW_ROWS && !this.#hasRunAccepted;
  }

  async #refuseTable(): Promise<never> {
    const { rows } = await this.#client.query<{ state: string; reason: string; count: number }>(
      `SELECT state, min(reason) AS reason, count(*)::int AS count FROM ${refusedOf(this.#scope)} GROUP BY state ORDER BY count DESC LIMIT 3`,
    );
    const why = rows.map(({ state, reason, count }) => `${count} times ${state}: ${reason}`).join('; ');
    throw new ConfigurationError(
      `public.${this.#scope.source.target.name} refuses every row that was tried (${why}). That is no fault of single events: nothing was set ` +
        'aside, the pages stay staged, and what was merged before is safe. Change the table, or what stands behind it, and ' +
        'start again: the job goes on there.',
    );
  }
}

/** @param isWatched what a trigger has let through is told by what is there, not by the server's answers */
async function countMoved(client: PoolClient, scope: MergeScope, isWatched: boolean): Promise<MovedRows> {
  const isThere = isWatched
    ? `EXISTS (SELECT FROM ${scope.source.target.sql} t WHERE t.id = c.id) AND NOT EXISTS (SELECT FROM ${leftOutOf(scope)} l WHERE l.tid = c.tid)`
    : 'm.ordinal IS NOT NULL';
  return oneRow<MovedRows>(
    client,
    `SELECT count(*) FILTER (WHERE NOT c.was_there AND ${isThere})::int AS inserted,
            count(*) FILTER (WHERE c.was_there AND m.ordinal IS NOT NULL)::int AS updated
       FROM ${candidatesOf(scope)} c LEFT JOIN ${movedOf(scope)} m USING (ordinal)`,
  );
}
