/** Version 6: what the chain of a window has served is known to the process that goes on with it. */
export const chainServed = {
  version: 6,
  sql: `
ALTER TABLE ingestion.state ADD COLUMN IF NOT EXISTS chain_served bigint;
COMMENT ON COLUMN ingestion.state.chain_served IS 'Events of the chain that the last safe page belongs to; null: an earlier version has begun it';
`,
} as const;
