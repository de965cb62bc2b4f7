/** Version 2: the ledger of staging has the oldest time of each page. staging.ts makes new ledgers with this column. */
export const oldestOfPage = {
  version: 2,
  sql: `
ALTER TABLE IF EXISTS ingestion.staging_ledger_a ADD COLUMN IF NOT EXISTS oldest_ms double precision;
ALTER TABLE IF EXISTS ingestion.staging_ledger_b ADD COLUMN IF NOT EXISTS oldest_ms double precision;
`,
} as const;
