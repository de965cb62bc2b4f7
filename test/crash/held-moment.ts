/**
 * Stops the database's side of the job at a named moment, for as long as the test likes: a trigger there waits for an
 * advisory lock that the test holds.
 */
import type { TestContext } from 'node:test';
import pg from 'pg';
import { pino } from 'pino';
import { Database } from '../../src/load/postgres.ts';
import { ensureTarget } from '../../src/load/schema/ingested-events.ts';
import { migrate } from '../../src/load/schema/migrate.ts';
import type { Program } from '../support/processes.ts';
import { APPLICATION_NAME, type CrashScene } from './crash-scene.ts';

/**
 * - `copying`: a COPY has begun, its rows are on their way
 * - `copied`: its rows are in, its ledger row is not
 * - `merging`: rows are moved, the ledger is being folded into the state
 */
export type Moment = 'copying' | 'copied' | 'merging';

const LOCK = 'hashtext($$held moment$$)';

/** Statement by statement: what of a job passes there, and how a transaction is made to wait. */
const TRIGGERS: Readonly<Record<Moment, readonly string[]>> = {
  copying: ['INSERT ON ingestion.staging_a', 'INSERT ON ingestion.staging_b'],
  copied: ['INSERT ON ingestion.staging_ledger_a', 'INSERT ON ingestion.staging_ledger_b'],
  merging: ['UPDATE OF safe_pages ON ingestion.state'],
};

export class HeldMoment {
  readonly #scene: CrashScene;
  readonly #client: pg.Client;
  #holding = true;

  private constructor(scene: CrashScene, client: pg.Client) {
    this.#scene = scene;
    this.#client = client;
  }

  /** From now on whoever comes to the moment waits. Makes the tables, so that there is something to hang triggers on. */
  static async arrange(t: TestContext, scene: CrashScene, moment: Moment): Promise<HeldMoment> {
    await makeTables(scene);
    await scene.database.query(`CREATE OR REPLACE FUNCTION public.wait_for_test() RETURNS trigger LANGUAGE plpgsql AS
      $body$ BEGIN PERFORM pg_advisory_xact_lock_shared(${LOCK}); RETURN NULL; END $body$`);
    for (const [index, event] of TRIGGERS[moment].entries()) {
      await scene.database.query(
        `CREATE TRIGGER held_${moment}_${index} BEFORE ${event} FOR EACH STATEMENT EXECUTE FUNCTION public.wait_for_test()`,
      );
    }
    const client = new pg.Client({ connectionString: scene.database.url, application_name: 'test' });
    // The server may be crashed while it holds.
    client.on('error', () => undefined);
    await client.connect();
    t.after(() => client.end().catch(() => undefined));
    await client.query(`SELECT pg_advisory_lock(${LOCK})`);
    return new HeldMoment(scene, client);
  }

  /** Backends of the job that wait there, as soon as there are any. */
  async reached(ingester: Program): Promise<number[]> {
    let waiting: number[] = [];
    await this.#scene.until(
      'the held moment',
      async () => {
        const { rows } = await this.#scene.database.query<{ pid: number }>(
          `SELECT pid FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE $2 AND wait_event = 'advisory'`,
          [this.#scene.database.name, `${APPLICATION_NAME}%`],
        );
        waiting = rows.map(({ pid }) => pid);
        return waiting.length > 0;
      },
      ingester,
    );
    return waiting;
  }

  /** Nobody waits there any more. A crash of the server has the same effect. */
  async release(): Promise<void> {
    if (!this.#holding) return;
    this.#holding = false;
    await this.#client.query(`SELECT pg_advisory_unlock(${LOCK})`).catch(() => undefined);
  }
}

/** Keeps merges from beginning, and nothing else, until the result is called. Starts would wait too. */
export async function holdMerges(t: TestContext, scene: CrashScene): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: scene.database.url, application_name: 'test' });
  client.on('error', () => undefined);
  await client.connect();
  t.after(() => client.end().catch(() => undefined));
  await client.query('BEGIN; LOCK TABLE ingestion.staging_a, ingestion.staging_b IN ACCESS SHARE MODE');
  return async () => {
    await client.query('ROLLBACK');
  };
}

/** As the first start does; all ids are UUIDs. */
export async function makeTables(scene: CrashScene): Promise<void> {
  const db = await Database.open({
    url: scene.database.url,
    copyConnections: 1,
    applicationName: 'test',
    logger: pino({ level: 'silent' }),
    maxWaitMs: 10_000,
  });
  try {
    await migrate(db);
    await ensureTarget(db, { id: 'uuid', sessionId: 'uuid', userId: 'uuid' });
  } finally {
    await db.close();
  }
}
