/** The database of one history: what people do to it, and what stands in it. */
import pg from 'pg';
import type { TestCluster } from '../support/cluster.ts';
import type { TargetRow } from './event-model.ts';
import type { TableStep } from './history.ts';

/** Every seventh event breaks the rules that people add. */
export const REFUSED_EVERY = 7;

const ROWS = `
  SELECT id::text, session_id::text, user_id::text, type, name, properties,
         round(extract(epoch FROM occurred_at) * 1000000)::bigint::text AS micros, device_type, browser, extra
    FROM public.ingested_events`;

const DEEDS: Readonly<Record<Exclude<TableStep['deed'], 'keep-database' | 'restore-database'>, string>> = {
  truncate: 'TRUNCATE public.ingested_events',
  drop: 'DROP TABLE public.ingested_events',
  'delete-rows': `DELETE FROM public.ingested_events WHERE coalesce((properties->>'n')::int, 0) % $every = 0`,
  'add-check': `ALTER TABLE public.ingested_events ADD CONSTRAINT refuse_some
    CHECK (coalesce((properties->>'n')::int % ${REFUSED_EVERY}, 1) <> 0) NOT VALID`,
  'add-version-check': `ALTER TABLE public.ingested_events ADD CONSTRAINT refuse_versions
    CHECK (NOT coalesce(properties ? 'v', false)) NOT VALID`,
  'drop-checks': `ALTER TABLE public.ingested_events DROP CONSTRAINT IF EXISTS refuse_some, DROP CONSTRAINT IF EXISTS refuse_versions`,
  'add-swallowing-trigger': `
    CREATE OR REPLACE FUNCTION public.swallow() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN IF (NEW.properties->>'n')::int % ${REFUSED_EVERY} = 0 THEN RETURN NULL; END IF; RETURN NEW; END $$;
    CREATE OR REPLACE TRIGGER swallow BEFORE INSERT ON public.ingested_events FOR EACH ROW EXECUTE FUNCTION public.swallow()`,
  'drop-trigger': 'DROP TRIGGER IF EXISTS swallow ON public.ingested_events',
  'make-key-case-blind': `
    CREATE COLLATION IF NOT EXISTS public.case_blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    ALTER TABLE public.ingested_events ALTER COLUMN id TYPE text COLLATE public.case_blind`,
  'keep-table':
    'DROP TABLE IF EXISTS public.kept_events; CREATE TABLE public.kept_events AS TABLE public.ingested_events',
  'restore-table': `TRUNCATE public.ingested_events; INSERT INTO public.ingested_events SELECT * FROM public.kept_events`,
};

const PLAIN_KEY = 'ALTER TABLE public.ingested_events ALTER COLUMN id TYPE text COLLATE "default"';

/** SQLSTATEs of deeds that cannot be done to what is there: such a step does nothing. */
const NOT_THERE = ['42P01', '3F000', '42704', '42710', '3D000', '42804', '42703', '23505', '23514'];

export interface Rejection {
  readonly runId: number;
  readonly original: string;
  /** A row that the merge could not move: its event was rebuilt, with other spaces, order of keys and writing of times. */
  readonly isRebuilt: boolean;
}

export interface StoredRun {
  readonly runId: number;
  readonly status: string;
  readonly proof: string | null;
  readonly served: number;
  readonly loaded: number;
}

export class HistoryTarget {
  readonly url: string;
  readonly #cluster: TestCluster;
  readonly #name: string;
  #client: pg.Client | null = null;
  #isKept = false;

  static async create(cluster: TestCluster, name: string): Promise<HistoryTarget> {
    return new HistoryTarget(cluster, name, await cluster.createDatabase(name));
  }

  private constructor(cluster: TestCluster, name: string, url: string) {
    this.#cluster = cluster;
    this.#name = name;
    this.url = url;
  }

  /** @returns false when there is nothing that it could be done to */
  async do({ deed, every }: TableStep): Promise<boolean> {
    if (deed === 'keep-database') return this.#keepDatabase();
    if (deed === 'restore-database') return this.#restoreDatabase();
    return this.#tolerant(DEEDS[deed].replace('$every', String(every)));
  }

  /** Takes back what people have added, where there is a table. */
  async heal(): Promise<void> {
    await this.#tolerant(DEEDS['drop-checks']);
    await this.#tolerant(DEEDS['drop-trigger']);
    if (await this.isCaseBlind()) await this.#tolerant(PLAIN_KEY);
  }

  /** By id; empty where there is no table. */
  async rows(): Promise<ReadonlyMap<string, TargetRow>> {
    const rows = await this.#read<TargetRow & { id: string }>(ROWS);
    return new Map(rows.map(({ id, ...row }) => [id, row]));
  }

  async rejections(): Promise<readonly Rejection[]> {
    const rows = await this.#read<{ run: string; original: Buffer; rebuilt: boolean }>(
      `SELECT run_id::text AS run, original, reason LIKE '%; the original is rebuilt from its row' AS rebuilt
         FROM ingestion.anomaly WHERE kind = 'rejected'`,
    );
    return rows.map(({ run, original, rebuilt }) => ({
      runId: Number(run),
      original: original.toString(),
      isRebuilt: rebuilt,
    }));
  }

  async hasUuids(): Promise<boolean> {
    const rows = await this.#read<{ type: string }>(
      `SELECT format_type(atttypid, atttypmod) AS type FROM pg_attribute
        WHERE attrelid = to_regclass('public.ingested_events') AND attname = 'id'`,
    );
    return rows[0]?.type === 'uuid';
  }

  async newestRun(): Promise<StoredRun | null> {
    const [run] = await this.#read<{
      run: string;
      status: string;
      proof: string | null;
      served: number;
      loaded: number;
    }>(
      `SELECT run_id::text AS run, status, proof->>'kind' AS proof, served::float8 AS served, loaded::float8 AS loaded
         FROM ingestion.run ORDER BY run_id DESC LIMIT 1`,
    );
    return run === undefined ? null : { ...run, runId: Number(run.run) };
  }

  /** Its key takes ids for equal that are not. */
  async isCaseBlind(): Promise<boolean> {
    const rows = await this.#read(
      `SELECT FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation
        WHERE a.attrelid = to_regclass('public.ingested_events') AND a.attname = 'id' AND c.collname = 'case_blind'`,
    );
    return rows.length > 0;
  }

  async remove(): Promise<void> {
    await this.#disconnect();
    await this.#cluster.query(`DROP DATABASE IF EXISTS "${this.#name}" WITH (FORCE)`);
    await this.#cluster.query(`DROP DATABASE IF EXISTS "${this.#name}_kept" WITH (FORCE)`);
  }

  async #keepDatabase(): Promise<boolean> {
    await this.#copyDatabase(this.#name, `${this.#name}_kept`);
    this.#isKept = true;
    return true;
  }

  async #restoreDatabase(): Promise<boolean> {
    if (this.#isKept) await this.#copyDatabase(`${this.#name}_kept`, this.#name);
    return this.#isKept;
  }

  async #copyDatabase(from: string, to: string): Promise<void> {
    await this.#disconnect();
    await this.#cluster.query(`DROP DATABASE IF EXISTS "${to}" WITH (FORCE)`);
    // A session of a start that has just ended, or was killed, may still be there.
    await this.#cluster.query('SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1', [
      from,
    ]);
    await this.#cluster.query(`CREATE DATABASE "${to}" TEMPLATE "${from}"`);
  }

  async #tolerant(sql: string): Promise<boolean> {
    try {
      await (await this.#connected()).query(sql);
      return true;
    } catch (error) {
      if (error instanceof pg.DatabaseError && NOT_THERE.includes(error.code ?? '')) return false;
      throw error;
    }
  }

  async #read<R extends pg.QueryResultRow>(sql: string): Promise<R[]> {
    try {
      return (await (await this.#connected()).query<R>(sql)).rows;
    } catch (error) {
      if (error instanceof pg.DatabaseError && NOT_THERE.includes(error.code ?? '')) return [];
      throw error;
    }
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client !== null) return this.#client;
    const client = new pg.Client({ connectionString: this.url, application_name: 'history' });
    client.on('error', () => undefined);
    await client.connect();
    this.#client = client;
    return client;
  }

  async #disconnect(): Promise<void> {
    await this.#client?.end();
    this.#client = null;
  }
}
