/** The target table, made by a person's hand as the program would make it, so that a test can lay rules on it first. */
import type { TestDatabase } from './database.ts';

export async function makeOurTable(
  database: TestDatabase,
  { idType = 'uuid', partitions }: { readonly idType?: string; readonly partitions?: string } = {},
): Promise<void> {
  await database.query(`
    CREATE TABLE public.ingested_events (
      id ${idType} PRIMARY KEY, session_id uuid, user_id uuid, type text, name text, properties jsonb,
      occurred_at timestamptz, device_type text, browser text, extra jsonb, ingested_at timestamptz NOT NULL DEFAULT now()
    )${partitions === undefined ? '' : ` PARTITION BY ${partitions}`}`);
}
