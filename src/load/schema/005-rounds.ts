/** Version 5: rounds of `--follow` are runs, too. */
export const rounds = {
  version: 5,
  sql: `
ALTER TABLE ingestion.run
  DROP CONSTRAINT IF EXISTS run_begun_by_check,
  ADD CONSTRAINT run_begun_by_check CHECK (begun_by IN ('full', 'new-run', 'new-events', 'lookback')),
  ADD COLUMN IF NOT EXISTS took_nothing boolean NOT NULL DEFAULT false;
-- What a job that lives long has many of is not read through in each of its rounds.
CREATE INDEX IF NOT EXISTS run_took_nothing ON ingestion.run (source_id) WHERE took_nothing;
CREATE INDEX IF NOT EXISTS outcome_by_age ON ingestion.outcome (noted_at);
CREATE INDEX IF NOT EXISTS anomaly_by_bytes ON ingestion.anomaly (sha256(original));
COMMENT ON COLUMN ingestion.run.begun_by IS 'A flag, or a round of --follow: what is new since the watermark, or the lookback as well';
COMMENT ON COLUMN ingestion.run.took_nothing IS 'A round that brought nothing new: the next such one takes its place';
`,
} as const;
