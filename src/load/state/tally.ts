/** What the windows of a run have brought together, as merged. */
import { oneRow, type Queryable } from '../postgres/one-row.ts';

export interface Tally {
  /** Places of the API's list that were surely served, each once. */
  readonly places: number;
  /** Of those: at or above the time from which the next run looks again. */
  readonly recentPlaces: number;
  /** May be further places, or servings of places that are counted. */
  readonly unsure: number;
  /** No bound of time lies below or above the windows: they are all of the data set. */
  readonly isFull: boolean;
  /** Windows whose end was not the API's own word. */
  readonly doubtfulWindows: number;
  /** Runs of another address have put rows into the same table: an event may have the id of one of them, and no row of its own. */
  readonly isMixed: boolean;
}

/**
 * A window that a catch-up took over from ends where the catch-up begins: its `top_places` are the catch-up's. An event that
 * a cursor brought again at the top of a page is the cursor's doing where every cursor does it; else it is unsure.
 */
export async function readTally(db: Queryable, runId: number): Promise<Tally> {
  return oneRow<Tally>(
    db,
    `WITH windows AS (
       SELECT *, CASE WHEN until_ms IS NULL THEN 0 ELSE top_places END AS taken_over FROM ingestion.state WHERE run_id = $1
     ), sums AS (
       SELECT sum(places - taken_over) AS places, sum(recent_places - taken_over) AS recent_places, sum(unsure) AS unsure,
              sum(repeated) AS repeated, sum(borders) AS borders, sum(repeating_borders) AS repeating_borders,
              bool_or(since_ms IS NULL) AND bool_or(until_ms IS NULL) AS is_full, count(*) FILTER (WHERE doubtful) AS doubtful
         FROM windows
     )
     SELECT coalesce(places, 0)::float8 AS places, coalesce(recent_places, 0)::float8 AS "recentPlaces",
            (coalesce(unsure, 0) + CASE WHEN repeating_borders > 1 AND repeating_borders = borders THEN 0
                                        ELSE coalesce(repeated, 0) END)::float8 AS unsure,
            coalesce(is_full, false) AS "isFull", doubtful::float8 AS "doubtfulWindows",
            EXISTS (SELECT FROM ingestion.run r JOIN ingestion.run other USING (source_id)
                     WHERE r.run_id = $1 AND other.source <> r.source AND other.inserted > 0) AS "isMixed"
       FROM sums`,
    [runId],
  );
}
