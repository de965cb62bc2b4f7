/**
 * Stops the database's side of the job at a named moment, for as long as the test likes: a trigger there waits for an
 * advisory lock that the test holds.
 */
import type { TestContext } from 'node:test';
import pg from 'pg';
import { pino } from 'pino';
import { Database } from '../../src/load/postgres/database.ts';
import { ensureTarget } from '../../src/load/schema/ingested-events.ts';
import { migrate } from '../../src/load/schema/migrate.ts';
import type { Program } from '../support/processes.ts';
import { APPLICATION_NAME, type CrashScene, type SceneOptions } from './crash-scene.ts';

/** Statement by statement: what of a job passes there. `when` is a condition in SQL, for moments that come again and again. */
const TRIGGERS = {
  /** A start raises the generation. */
  claiming: { on: ['UPDATE ON ingestion.owner'] },
  /** A start writes the epoch of its staging. */
  beginning: { on: ['INSERT ON ingestion.staging_epoch'] },
  'making the run': { on: ['INSERT ON ingestion.run'] },
  'making the first window': { on: ['INSERT ON ingestion.state'] },
  /** What the first page says of the data set is written down. */
  'opening the books': { on: ['UPDATE OF pass_total ON ingestion.run'] },
  /** The upper part of a window has its new bound, the lower ones are not there yet. */
  splitting: { on: ['INSERT ON ingestion.state'], when: 'EXISTS (SELECT FROM ingestion.state)' },
  /** A COPY has begun, its rows are on their way. */
  copying: { on: ['INSERT ON ingestion.staging_a', 'INSERT ON ingestion.staging_b'] },
  /** Its rows are in, its ledger row is not. */
  copied: { on: ['INSERT ON ingestion.staging_ledger_a', 'INSERT ON ingestion.staging_ledger_b'] },
  /** Of a first load what was staged is moved, and its last pages, which came meanwhile, are about to be. */
  'moving the last pages': {
    on: ['INSERT ON public.ingested_events'],
    when: 'EXISTS (SELECT FROM public.ingested_events)',
  },
  /** Rows are moved, the ledger is being folded into the state. */
  merging: { on: ['UPDATE OF safe_pages ON ingestion.state'] },
  /** All of a merge but its end. A start empties the tables too. */
  emptying: {
    on: ['TRUNCATE ON ingestion.staging_a', 'TRUNCATE ON ingestion.staging_b'],
    when: 'EXISTS (SELECT FROM ingestion.state WHERE safe_pages > 0)',
  },
  'catching up': { on: ['INSERT ON ingestion.state'], when: '(SELECT max(pass) FROM ingestion.run) = 2' },
  'walking again': { on: ['INSERT ON ingestion.state'], when: '(SELECT max(pass) FROM ingestion.run) > 2' },
  completing: { on: ['UPDATE OF status ON ingestion.run'] },
} as const satisfies Record<string, { readonly on: readonly string[]; readonly when?: string }>;

/** The first load has moved its rows, and is about to give the target its key again; that is no statement on rows. */
const BUILDING_KEY = 'building the key';

export type Moment = keyof typeof TRIGGERS | typeof BUILDING_KEY;

export const MOMENTS: readonly Moment[] = [...namesOf(TRIGGERS), BUILDING_KEY];

function namesOf<K extends string>(record: Readonly<Record<K, unknown>>): K[] {
  const isName = (name: string): name is K => Object.hasOwn(record, name);
  return Object.keys(record).filter(isName);
}

/** What a scene needs besides, for the moment to come. */
export const SCENE_OF_MOMENT: Partial<Record<Moment, Partial<SceneOptions>>> = {
  'walking again': { faultPlan: [{ on: 'stream', nth: 5, fault: 'lost-events' }] },
  // Less is merged after its end. One window, or rows at its edges would be moved last.
  'moving the last pages': {
    events: 200_000,
    latency: 60,
    flags: ['--concurrency', '1', '--endpoint', 'stream', '--merge-interval', '60'],
  },
};

const LOCK = 'hashtext($$held moment$$)';

const WAIT_SQL = `
  CREATE OR REPLACE FUNCTION public.wait_for_test() RETURNS trigger LANGUAGE plpgsql AS $body$
    DECLARE is_now boolean;
    BEGIN
      EXECUTE 'SELECT ' || TG_ARGV[0] INTO is_now;
      IF is_now THEN PERFORM pg_advisory_xact_lock_shared(${LOCK}); END IF;
      RETURN NULL;
    END $body$;
  CREATE OR REPLACE FUNCTION public.wait_with_key() RETURNS event_trigger LANGUAGE plpgsql AS $body$
    BEGIN
      IF current_query() LIKE '%ADD CONSTRAINT%' THEN PERFORM pg_advisory_xact_lock_shared(${LOCK}); END IF;
    END $body$`;

function triggersSql(moment: Moment): string[] {
  if (moment === BUILDING_KEY) {
    return [
      `CREATE EVENT TRIGGER held ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION public.wait_with_key()`,
    ];
  }
  const { on, when = 'true' }: { readonly on: readonly string[]; readonly when?: string } = TRIGGERS[moment];
  return on.map(
    (event, index) =>
      `CREATE TRIGGER held_${index} BEFORE ${event} FOR EACH STATEMENT EXECUTE FUNCTION public.wait_for_test('${when}')`,
  );
}

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
    await scene.database.query(WAIT_SQL);
    for (const trigger of triggersSql(moment)) await scene.database.query(trigger);
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
