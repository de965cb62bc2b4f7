/**
 * Stops the database's side of the job at a named moment, for as long as the test likes: a trigger at that moment waits for
 * an advisory lock, which the test holds.
 */
import type { TestContext } from 'node:test';
import type pg from 'pg';
import { pino } from 'pino';
import { Database } from '../../src/load/postgres/database.ts';
import { ensureTarget } from '../../src/load/schema/ingested-events.ts';
import { migrate } from '../../src/load/schema/migrate.ts';
import { openClient } from '../support/database.ts';
import type { Program } from '../support/processes.ts';
import { APPLICATION_NAME, type CrashScene, type Ingester, type SceneOptions } from './crash-scene.ts';
import { DATASYNC } from '../support/datasync.ts';

/** For each moment, the statements that reach it. `when` is an SQL condition, for statements that are run at other moments too. */
const TRIGGERS = {
  /** A start raises the generation. */
  claiming: { on: ['UPDATE ON ingestion.owner'] },
  /** A start writes the epoch of its staging. */
  beginning: { on: ['INSERT ON ingestion.staging_epoch'] },
  'making the run': { on: ['INSERT ON ingestion.run'] },
  'making the first window': { on: ['INSERT ON ingestion.state'] },
  /** The first page has told how large the data set is. */
  'noting the total': { on: ['UPDATE OF pass_total ON ingestion.run'] },
  /** The upper part of a window has its new bound; the lower parts do not exist yet. */
  splitting: { on: ['INSERT ON ingestion.state'], when: 'EXISTS (SELECT FROM ingestion.state)' },
  /** A COPY has begun, and its rows are on their way. */
  copying: { on: ['INSERT ON ingestion.staging_a_1', 'INSERT ON ingestion.staging_b_1'] },
  /** The rows of a page are in staging, its ledger row is not. */
  copied: { on: ['INSERT ON ingestion.staging_ledger_a_1', 'INSERT ON ingestion.staging_ledger_b_1'] },
  /** A merge into an empty target has moved its rows, and is about to move its late pages. */
  'moving the last pages': {
    on: ['INSERT ON public.ingested_events'],
    when: 'EXISTS (SELECT FROM public.ingested_events)',
  },
  /** Rows are moved, and the ledger is being folded into the state. */
  merging: { on: ['UPDATE OF safe_pages ON ingestion.state'] },
  /** A merge has done everything but its end. (A start empties the tables too.) */
  emptying: {
    on: ['TRUNCATE ON ingestion.staging_a_1', 'TRUNCATE ON ingestion.staging_b_1'],
    when: 'EXISTS (SELECT FROM ingestion.state WHERE safe_pages > 0)',
  },
  'catching up': { on: ['INSERT ON ingestion.state'], when: '(SELECT max(pass) FROM ingestion.run) = 2' },
  'walking again': { on: ['INSERT ON ingestion.state'], when: '(SELECT max(pass) FROM ingestion.run) > 2' },
  completing: { on: ['UPDATE OF status ON ingestion.run'] },
} as const satisfies Record<string, { readonly on: readonly string[]; readonly when?: string }>;

/** A merge into an empty target has moved its rows, and is about to build the key again. An event trigger: no rows change. */
const BUILDING_KEY = 'building the key';

export type Moment = keyof typeof TRIGGERS | typeof BUILDING_KEY;

export const MOMENTS: readonly Moment[] = [...namesOf(TRIGGERS), BUILDING_KEY];

function namesOf<K extends string>(record: Readonly<Record<K, unknown>>): K[] {
  const isName = (name: string): name is K => Object.hasOwn(record, name);
  return Object.keys(record).filter(isName);
}

/** The options that a scene needs for the moment to come. */
export const SCENE_OF_MOMENT: Partial<Record<Moment, Partial<SceneOptions>>> = {
  'walking again': { faultPlan: [{ on: 'stream', nth: 5, fault: 'lost-events' }] },
  // Fewer events are merged only at the end. With several windows, rows at their bounds would be moved last.
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

  /** From now on, every session that comes to the moment waits. Makes the tables, because triggers need them. */
  static async arrange(t: TestContext, scene: CrashScene, moment: Moment): Promise<HeldMoment> {
    await makeTables(scene);
    await scene.database.query(WAIT_SQL);
    for (const trigger of triggersSql(moment)) await scene.database.query(trigger);
    const client = await openClient(t, scene.database.url);
    await client.query(`SELECT pg_advisory_lock(${LOCK})`);
    return new HeldMoment(scene, client);
  }

  /** Starts an ingester and waits until it is held at the moment. */
  static async startAndReach(
    t: TestContext,
    scene: CrashScene,
    moment: Moment,
  ): Promise<{ held: HeldMoment; ingester: Program }> {
    const held = await HeldMoment.arrange(t, scene, moment);
    const ingester = scene.start();
    await held.reached(ingester);
    return { held, ingester };
  }

  /** Waits until a backend of the ingester is held. */
  async reached(ingester: Ingester): Promise<void> {
    const waiting = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                        AND application_name LIKE '${APPLICATION_NAME}%' AND wait_event = 'advisory'`;
    const holds = async (): Promise<boolean> => (await this.#scene.database.number(waiting)) > 0;
    await this.#scene.until('the held moment', holds, ingester);
  }

  /** Lets everyone go on. A crash of the server has the same effect. */
  async release(): Promise<void> {
    if (!this.#holding) return;
    this.#holding = false;
    await this.#client.query(`SELECT pg_advisory_unlock(${LOCK})`).catch(() => undefined);
  }
}

/** Keeps merges from beginning until the returned function is called. A start would wait too. */
export async function holdMerges(t: TestContext, scene: CrashScene): Promise<() => Promise<void>> {
  const client = await openClient(t, scene.database.url);
  await client.query('BEGIN; LOCK TABLE ingestion.staging_a_1, ingestion.staging_b_1 IN ACCESS SHARE MODE');
  return async () => {
    await client.query('ROLLBACK');
  };
}

/** Makes the tables as the first start does; all ids are UUIDs. */
export async function makeTables(scene: CrashScene): Promise<void> {
  const logger = pino({ level: 'silent' });
  const db = await Database.open({
    url: scene.database.url,
    copyConnections: 1,
    applicationName: 'test',
    logger,
    maxWaitMs: 10_000,
  });
  try {
    await migrate(db, logger);
    await ensureTarget(db, DATASYNC, { id: 'uuid', sessionId: 'uuid', userId: 'uuid' });
  } finally {
    await db.close();
  }
}
