/** Version 3: the places that a run was served, by what it is proven, and how many rows the job left in the target. */
const LEDGERS = ['ingestion.staging_ledger_a', 'ingestion.staging_ledger_b'];

/** What a page brought. Pages of an earlier version count no places: see `places_known`. */
const LEDGER_COLUMNS = [
  'cursor_from text',
  'cursor_limit integer',
  'page_end_ms double precision',
  'edge_ms double precision',
  'edge_keys text[]',
  'doubtful boolean NOT NULL DEFAULT false',
  'continued boolean NOT NULL DEFAULT false',
  ...['places', 'top_places', 'recent_places', 'unsure', 'repeated'].map(
    (name) => `${name} integer NOT NULL DEFAULT 0`,
  ),
];

function alterLedger(ledger: string): string {
  const added = LEDGER_COLUMNS.map((column) => `ADD COLUMN IF NOT EXISTS ${column}`);
  return `ALTER TABLE IF EXISTS ${ledger} DROP COLUMN IF EXISTS last_event_id, ${added.join(', ')};`;
}

export const placesAndProof = {
  version: 3,
  sql: `
${LEDGERS.map(alterLedger).join('\n')}

ALTER TABLE ingestion.state
  DROP COLUMN last_event_id,
  ADD COLUMN cursor_from text,
  ADD COLUMN cursor_limit integer,
  ADD COLUMN page_end_ms double precision,
  ADD COLUMN edge_ms double precision,
  ADD COLUMN edge_keys text[],
  ADD COLUMN doubtful boolean NOT NULL DEFAULT false,
  ADD COLUMN places bigint NOT NULL DEFAULT 0,
  ADD COLUMN top_places bigint NOT NULL DEFAULT 0,
  ADD COLUMN recent_places bigint NOT NULL DEFAULT 0,
  ADD COLUMN unsure bigint NOT NULL DEFAULT 0,
  ADD COLUMN repeated bigint NOT NULL DEFAULT 0,
  ADD COLUMN borders integer NOT NULL DEFAULT 0,
  ADD COLUMN repeating_borders integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN ingestion.state.cursor_from IS 'The endpoint that gave the cursor: stream or events';
COMMENT ON COLUMN ingestion.state.cursor_limit IS 'The limit of the page that gave a cursor that may count pages; it is used with no other';
COMMENT ON COLUMN ingestion.state.edge_ms IS 'Time at which the counted pages end; edge_keys are the keys of the events counted there';
COMMENT ON COLUMN ingestion.state.borders IS 'Pages that a cursor led to; repeating_borders of them began with what the page before them ended with';

ALTER TABLE ingestion.run
  DROP COLUMN doubled_in_chain,
  ADD COLUMN known_total bigint,
  ADD COLUMN places_known boolean NOT NULL DEFAULT true,
  ADD COLUMN begun_by text CHECK (begun_by IN ('full', 'new-run')),
  ADD COLUMN lookback_ms double precision,
  ADD COLUMN base_total bigint,
  ADD COLUMN base_recent bigint,
  ADD COLUMN recent_places bigint,
  ADD COLUMN came_again boolean NOT NULL DEFAULT false,
  ADD COLUMN proof jsonb;
UPDATE ingestion.run SET places_known = false;
COMMENT ON COLUMN ingestion.run.places_known IS 'False: begun by version 1.0.0, which did not count places';
COMMENT ON COLUMN ingestion.run.known_total IS 'The newest total that the run was told; pass_total is null where its last pass was told none';
COMMENT ON COLUMN ingestion.run.base_total IS 'Total that the run before this one was proven with; base_recent: places it was served at or above floor_ms';
COMMENT ON COLUMN ingestion.run.recent_places IS 'Places served at or above watermark_ms less lookback_ms; null when that is not known for sure';
COMMENT ON COLUMN ingestion.run.came_again IS 'It was served an event, at or below where the run before it ended, that had a row';
COMMENT ON COLUMN ingestion.run.proof IS 'By what the run is proven complete: kind, places, expected, sentence';

CREATE TABLE ingestion.source (
  source text PRIMARY KEY,
  ordered_by_time boolean NOT NULL DEFAULT true,
  has_flag boolean NOT NULL DEFAULT false,
  failure_words text NOT NULL DEFAULT 'unknown' CHECK (failure_words IN ('unknown', 'mean-failure', 'mean-nothing'))
);
COMMENT ON TABLE ingestion.source IS 'What pages have shown of a source: an order by time, without which it is walked as one chain; a flag on its pages; what words of a failure beside events mean';

CREATE TABLE ingestion.target_rows (
  one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
  rows bigint,
  file oid,
  deletions bigint
);
COMMENT ON TABLE ingestion.target_rows IS 'How many rows the job left in ingested_events; null when they were never counted';
COMMENT ON COLUMN ingestion.target_rows.deletions IS 'Rows deleted from it so far, as its statistics say; with the same file: nobody has touched it since';
INSERT INTO ingestion.target_rows (rows) VALUES (NULL);

CREATE TABLE ingestion.served_keys (
  served_keys_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  run_id bigint NOT NULL REFERENCES ingestion.run ON DELETE CASCADE,
  keys bigint[] NOT NULL
);
COMMENT ON TABLE ingestion.served_keys IS 'Hashes of ids that merges of an unfinished run have moved, where the table has other rows than that run''s own';
`,
} as const;
