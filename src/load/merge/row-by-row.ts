/**
 * Moves candidates one by one inside the server, each under a savepoint of its own: about 30 µs a row (10,000 refused of 20,000,
 * tried twice each), where a round trip for each would cost a millisecond.
 */
import type { PoolClient } from 'pg';
import { NOT_ABOUT_ROWS } from '../postgres/database-errors.ts';
import { quoteLiteral } from '../postgres/identifiers.ts';
import { oneRow } from '../postgres/one-row.ts';
import { ownRelation } from '../schema/source.ts';
import { stagedColumns, targetColumns, conflictClause, overwritingClause, type MergeScope } from './merge-sql.ts';

/** The rows that a round tries: `ordinal`, from 1, `tid`, the row's place in staging, its `id`, and whether it `was_there` before. */
export const candidatesOf = ({ source }: MergeScope): string => ownRelation(source, 'merge_candidate');
/** `ordinal` of the candidates that made or changed a row; null for a row that a trigger has given another id. */
export const movedOf = ({ source }: MergeScope): string => ownRelation(source, 'merge_moved');
/** `ordinal` of the candidates that were refused alone, with the server's `state` and `reason`. */
export const refusedOf = ({ source }: MergeScope): string => ownRelation(source, 'merge_refused');

/** How the reason of an event begins that the target has refused. */
export const REFUSAL = 'refused by the merge: ';

/** Ordinals, both included. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

export class RowByRow {
  readonly #client: PoolClient;
  readonly #scope: MergeScope;
  readonly #candidates: string;
  readonly #moved: string;
  readonly #refused: string;

  constructor(client: PoolClient, scope: MergeScope) {
    this.#client = client;
    this.#scope = scope;
    this.#candidates = candidatesOf(scope);
    this.#moved = movedOf(scope);
    this.#refused = refusedOf(scope);
  }

  /** Of candidates that were not tried yet. @throws what is surely not about a row */
  async move({ from, to }: Range): Promise<{ readonly accepted: number; readonly refused: number }> {
    const ofRange = `ordinal BETWEEN ${from} AND ${to}`;
    await this.#run(`SELECT * FROM ${this.#candidates} WHERE ${ofRange} ORDER BY ordinal`);
    const { moved, refused } = await this.#count(`WHERE ${ofRange}`);
    return { accepted: moved, refused };
  }

  /** @returns how many were accepted now */
  async tryRefusedAgain(): Promise<number> {
    const before = await this.#count();
    await this.#run(
      `WITH again AS (DELETE FROM ${this.#refused} RETURNING ordinal)
       SELECT c.* FROM ${this.#candidates} c JOIN again USING (ordinal) ORDER BY ordinal`,
    );
    return before.refused - (await this.#count()).refused;
  }

  /** SQLSTATEs of the refused events that no earlier merge has set aside. */
  async firstRefusals(): Promise<readonly string[]> {
    const { rows } = await this.#client.query<{ state: string }>(
      `SELECT r.state FROM ${this.#refused} r JOIN ${this.#candidates} c USING (ordinal)
        WHERE left(c.id::text, 200) NOT IN (
          SELECT event_id FROM ingestion.anomaly JOIN ingestion.run USING (run_id)
           WHERE source_id = ${this.#scope.source.sourceId} AND kind = 'rejected' AND event_id IS NOT NULL AND starts_with(reason, ${quoteLiteral(REFUSAL)}))`,
    );
    return rows.map(({ state }) => state);
  }

  /** Tries candidates from everywhere and takes them back. @returns how many were accepted */
  async acceptedOf(rows: number, candidates: number): Promise<number> {
    const client = this.#client;
    const every = Math.max(1, Math.floor(candidates / rows));
    await client.query('SAVEPOINT sample');
    await this.#run(
      `SELECT * FROM ${this.#candidates} c WHERE ordinal % ${every} = 0
          AND NOT EXISTS (SELECT FROM ${this.#refused} r WHERE r.ordinal = c.ordinal) ORDER BY ordinal`,
    );
    const { moved } = await this.#count();
    await client.query('ROLLBACK TO SAVEPOINT sample; RELEASE SAVEPOINT sample');
    return moved;
  }

  /**
   * Of rows whose id was there, and that have changed nothing: those that change nothing either where every change is made. A
   * trigger leaves them out. The others are no change after what triggers make of them. Takes everything back.
   */
  async leftOut(ordinals: readonly number[]): Promise<readonly number[]> {
    if (ordinals.length === 0) return [];
    const client = this.#client;
    await client.query(`SAVEPOINT probe; TRUNCATE ${this.#moved}, ${this.#refused}`);
    const list = `ARRAY[${ordinals.join(', ')}]::int[]`;
    await this.#run(
      `SELECT c.* FROM ${this.#candidates} c WHERE ordinal = ANY (${list}) ORDER BY ordinal`,
      overwritingClause(this.#scope),
    );
    const { rows } = await client.query<{ ordinal: number }>(
      `SELECT ordinal FROM ${this.#moved} UNION SELECT ordinal FROM ${this.#refused}`,
    );
    await client.query('ROLLBACK TO SAVEPOINT probe; RELEASE SAVEPOINT probe');
    const changing = new Set(rows.map(({ ordinal }) => ordinal));
    return ordinals.filter((ordinal) => !changing.has(ordinal));
  }

  /** @param where a part of them: to count all of them for each part would take longer than to move it */
  async #count(where = ''): Promise<{ readonly moved: number; readonly refused: number }> {
    const count = (relation: string): string => `(SELECT count(*) FROM ${relation} ${where})::int`;
    return oneRow<{ moved: number; refused: number }>(
      this.#client,
      `SELECT ${count(this.#moved)} AS moved, ${count(this.#refused)} AS refused`,
    );
  }

  /** A cancelled query is caught by no handler for OTHERS. */
  async #run(candidates: string, onConflict = conflictClause(this.#scope)): Promise<void> {
    const { source, names } = this.#scope;
    const { classes, states } = NOT_ABOUT_ROWS;
    const texts = (list: readonly string[]): string => list.map(quoteLiteral).join(', ');
    const block = `
      DECLARE tried record; changed record;
      BEGIN
        FOR tried IN ${candidates} LOOP
          BEGIN
            INSERT INTO ${source.target.sql} AS t (${targetColumns(source.target)})
            SELECT ${stagedColumns(source.target)} FROM ${names.rows} s WHERE s.ctid = tried.tid ${onConflict}
            RETURNING t.id INTO changed;
            IF FOUND THEN INSERT INTO ${this.#moved} VALUES (CASE WHEN changed.id = tried.id THEN tried.ordinal END); END IF;
          EXCEPTION WHEN OTHERS OR assert_failure THEN
            IF left(SQLSTATE, 2) IN (${texts(classes)}) OR SQLSTATE IN (${texts(states)}) THEN RAISE; END IF;
            INSERT INTO ${this.#refused} VALUES (tried.ordinal, SQLSTATE, SQLERRM);
          END;
        END LOOP;
      END`;
    await this.#client.query(`DO ${quoteLiteral(block)}`);
  }
}
