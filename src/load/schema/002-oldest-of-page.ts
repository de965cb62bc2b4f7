/** Version 2: the ledger of staging knows how far down each page reaches. New tables are made with it (see staging.ts). */
export const oldestOfPage = {
  version: 2,
  sql: `
ALTER TABLE IF EXISTS ingestion.staging_ledger_a ADD COLUMN IF NOT EXISTS oldest_ms double precision;
ALTER TABLE IF EXISTS ingestion.staging_ledger_b ADD COLUMN IF NOT EXISTS oldest_ms double precision;
`,
} as const;
