/** Version 3: by what a run is proven, and what its proof rests on. What a chain served twice is not counted any more. */
export const placesAndProof = {
  version: 3,
  sql: `
ALTER TABLE ingestion.run ADD COLUMN proof jsonb;
COMMENT ON COLUMN ingestion.run.proof IS 'By what the run is proven complete: kind, places, expected, sentence';
ALTER TABLE ingestion.run DROP COLUMN doubled_in_chain;
`,
} as const;
