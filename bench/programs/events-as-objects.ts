/** What the comparison programs share: events as JavaScript objects, and a column for each field. */
import { z } from 'zod';

export const COLUMN_NAMES = 'id, session_id, user_id, type, name, properties, occurred_at, device_type, browser';

export const CREATE_TABLE = `CREATE TABLE ingested_events (
  id uuid PRIMARY KEY, session_id uuid, user_id uuid, type text, name text, properties jsonb,
  occurred_at timestamptz, device_type text, browser text, extra jsonb, ingested_at timestamptz NOT NULL DEFAULT now())`;

export interface ApiEvent {
  readonly id: string;
  readonly sessionId?: string;
  readonly userId?: string;
  readonly type?: string;
  readonly name?: string;
  readonly properties?: object;
  readonly timestamp: number | string;
  readonly session?: { readonly deviceType?: string; readonly browser?: string };
}

/** Checks the envelope only: nobody checks five thousand events a page with a schema. */
export const pageSchema = z.object({
  data: z.custom<readonly ApiEvent[]>(Array.isArray),
  pagination: z.object({ nextCursor: z.string().nullable() }),
});

/** @returns values in the order of {@link COLUMN_NAMES} */
export function toRow(event: ApiEvent): (string | null)[] {
  return [
    event.id,
    event.sessionId ?? null,
    event.userId ?? null,
    event.type ?? null,
    event.name ?? null,
    event.properties === undefined ? null : JSON.stringify(event.properties),
    new Date(event.timestamp).toISOString(),
    event.session?.deviceType ?? null,
    event.session?.browser ?? null,
  ];
}
