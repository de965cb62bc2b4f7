/** What every crash test has: the simulated API in this process, a database, and ingesters as real processes. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startSimulator, type Simulator, type StartOptions } from '../../src/simulator/simulator.ts';
import { databaseIn, testDatabase, type TestCluster, type TestDatabase } from '../support/database.ts';
import { startMain, startNpm, type LogLine, type Program } from '../support/processes.ts';
import { assertExact, type Exactness } from './exactness.ts';

export const APPLICATION_NAME = 'datasync-ingestion';
const KEY = 'crash-test-key';
const POLL_MS = 5;
/** Only turns a hanging test into one that says what it waited for. */
const GIVE_UP_MS = 90_000;

export interface SceneOptions extends StartOptions, SceneSettings {}

interface SceneSettings {
  /** A cluster of the test's own, for those that break the server. */
  readonly cluster?: TestCluster;
  /** Of that cluster, for all of the database. */
  readonly tablespace?: string;
  /** Flags of every start. */
  readonly flags?: readonly string[];
  /** Where ingesters find the database and the API, when something stands between. */
  readonly through?: { readonly database?: (url: string) => string; readonly api?: (url: string) => string };
}

export interface StartIngester {
  /** `npm start`, as people type it; node itself unless set. */
  readonly npm?: boolean;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export class CrashScene {
  readonly simulator: Simulator;
  readonly database: TestDatabase;
  readonly #t: TestContext;
  readonly #flags: readonly string[];
  readonly #environment: Readonly<Record<string, string>>;

  private constructor(t: TestContext, simulator: Simulator, database: TestDatabase, options: SceneSettings) {
    this.#t = t;
    this.simulator = simulator;
    this.database = database;
    this.#flags = options.flags ?? [];
    this.#environment = {
      API_BASE_URL: options.through?.api?.(simulator.baseUrl) ?? simulator.baseUrl,
      TARGET_API_KEY: KEY,
      DATABASE_URL: options.through?.database?.(database.url) ?? database.url,
      MERGE_INTERVAL: '1',
      WORKER_THREADS: '1',
      LOG_FORMAT: 'json',
      LOG_LEVEL: 'debug',
    };
  }

  static async open(t: TestContext, options: SceneOptions): Promise<CrashScene> {
    const { cluster, tablespace, flags, through, ...given } = options;
    const simulator = await startSimulator({ eventsLimit: 0, ...given });
    t.after(() => simulator.close());
    const database = cluster === undefined ? await testDatabase(t) : await databaseIn(t, cluster);
    if (tablespace !== undefined)
      await database.cluster.query(`ALTER DATABASE "${database.name}" SET TABLESPACE ${tablespace}`);
    return new CrashScene(t, simulator, database, {
      ...(flags === undefined ? {} : { flags }),
      ...(through === undefined ? {} : { through }),
    });
  }

  start({ npm = false, flags = [], env = {} }: StartIngester = {}): Program {
    const all = [...this.#flags, ...flags];
    const options = { env: { ...this.#environment, ...env } };
    return npm ? startNpm(this.#t, 'start', all, options) : startMain(this.#t, all, options);
  }

  /** Starts one that must come to its end; by then the API need not be slow any more. */
  async finish(options: StartIngester = {}): Promise<Program> {
    this.simulator.apply({ latency: 0, latencyJitter: 0 });
    const ingester = this.start(options);
    await this.expectExit(ingester, 0);
    return ingester;
  }

  async expectExit(ingester: Program, code: number): Promise<void> {
    const { code: found } = await ingester.waitForExit();
    assert.equal(found, code, `exit code ${found}, expected ${code}\n${lastLines(ingester)}`);
  }

  assertExact(): Promise<Exactness> {
    return assertExact(this.simulator, this.database.url);
  }

  /** Pages and parts of pages that were handed out. */
  get pagesServed(): number {
    return this.simulator.stats().pagesServed;
  }

  /** Waits until the API has served so many pages more than at the call. */
  async pagesMore(count: number, ingester: Program): Promise<void> {
    const wanted = this.pagesServed + count;
    await this.until(`${count} more pages`, () => Promise.resolve(this.pagesServed >= wanted), ingester);
  }

  /** One number that a query gives; 0 for null. */
  async number(sql: string): Promise<number> {
    const { rows } = await this.database.query<{ n: string | number | null }>(`SELECT (${sql}) AS n`);
    return Number(rows[0]?.n ?? 0);
  }

  /** Pages that are copied, merged or not; 0 while there are no tables. */
  async stagedPages(): Promise<number> {
    if ((await this.number(`SELECT count(*) FROM pg_class WHERE relname = 'staging_ledger_b'`)) === 0) return 0;
    return this.number(
      `SELECT (SELECT count(*) FROM ingestion.staging_ledger_a) + (SELECT count(*) FROM ingestion.staging_ledger_b)
            + coalesce((SELECT sum(pages) FROM ingestion.run), 0)`,
    );
  }

  /** Backends of ingesters whose `application_name` ends in `purpose`, busy ones only. */
  async backends(purpose: string): Promise<number[]> {
    const { rows } = await this.database.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE datname = $1 AND application_name = $2 AND state <> 'idle'`,
      [this.database.name, `${APPLICATION_NAME} ${purpose}`],
    );
    return rows.map(({ pid }) => pid);
  }

  /** Asks again and again. @throws when the ingester ends first, or it never holds */
  async until(what: string, holds: () => Promise<boolean>, ingester: Program | null): Promise<void> {
    const deadlineMs = Date.now() + GIVE_UP_MS;
    while (!(await holds())) {
      if (ingester !== null && ingester.ended !== null) {
        throw new Error(`waited for ${what}; the ingester ended with ${ingester.ended.code}\n${lastLines(ingester)}`);
      }
      if (Date.now() > deadlineMs) {
        throw new Error(`waited for ${what} in vain\n${ingester === null ? '' : lastLines(ingester)}`);
      }
      await delay(POLL_MS);
    }
  }
}

export function hasLog(message: RegExp): (line: LogLine) => boolean {
  return ({ msg }) => typeof msg === 'string' && message.test(msg);
}

export function countLogs(ingester: Program, message: RegExp): number {
  return ingester.logs.filter(hasLog(message)).length;
}

/** For messages of failed assertions. */
export function lastLines(ingester: Program): string {
  return `${ingester.stdout.slice(-3_000)}\n${ingester.stderr.slice(-1_000)}`;
}
