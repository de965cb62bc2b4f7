/** What every crash test has: the simulated API in this process, a database, and ingesters: real processes, and jobs in this one. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Simulator, StartOptions } from '../../src/simulator/simulator.ts';
import { databaseIn, testDatabase, type TestCluster, type TestDatabase } from '../support/database.ts';
import { assertBalanced, assertExact } from '../support/exact-target.ts';
import { startMain, startNpm, type LogLine, type Program } from '../support/processes.ts';
import { KEY, simulatorFor } from '../support/simulator-client.ts';
import type { TcpProxy } from '../support/tcp-proxy.ts';
import { RunningJob } from './running-job.ts';

export const APPLICATION_NAME = 'datasync-ingestion datasync';
const SETTINGS = { MERGE_INTERVAL: '1', WORKER_THREADS: '1' };
const POLL_MS = 5;
/** Only turns a hanging test into one that says what it waited for. */
const GIVE_UP_MS = 90_000;

export interface SceneOptions extends StartOptions, SceneSettings {}

interface SceneSettings {
  /** A cluster of the test's own, for tests that break the server. */
  readonly cluster?: TestCluster;
  /** Tablespace of that cluster for the whole database. */
  readonly tablespace?: string;
  /** Flags of every start. */
  readonly flags?: readonly string[];
  /** Stands between ingesters and the database. */
  readonly proxy?: TcpProxy;
}

export interface StartIngester {
  /** Starts with `npm start`, as people do; without it, node itself. */
  readonly npm?: boolean;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A program, or a job in this process. */
export type Ingester = Pick<Program, 'logs' | 'stdout' | 'stderr'> & {
  readonly ended: { readonly code: number } | null;
  readonly waitForExit: () => Promise<{ readonly code: number }>;
};

/** True when no run is open, no window of a complete run is open, and the table has its key again. */
const IS_FINISHED = `
  NOT EXISTS (SELECT FROM ingestion.run WHERE status = 'running')
    AND NOT EXISTS (SELECT FROM ingestion.state NATURAL JOIN ingestion.run WHERE status = 'complete' AND NOT complete)
    AND EXISTS (SELECT FROM pg_index WHERE indrelid = 'ingested_events'::regclass AND indisprimary AND indisvalid)`;

export class CrashScene {
  readonly simulator: Simulator;
  readonly database: TestDatabase;
  readonly #t: TestContext;
  readonly #flags: readonly string[];
  readonly #databaseUrl: string;

  private constructor(t: TestContext, simulator: Simulator, database: TestDatabase, settings: SceneSettings) {
    this.#t = t;
    this.simulator = simulator;
    this.database = database;
    this.#flags = settings.flags ?? [];
    this.#databaseUrl = settings.proxy?.urlFor(database.url) ?? database.url;
  }

  static async open(t: TestContext, options: SceneOptions): Promise<CrashScene> {
    const { cluster, tablespace, flags = [], proxy, ...source } = options;
    const simulator = await simulatorFor(t, source);
    const database = cluster === undefined ? await testDatabase(t) : await databaseIn(t, cluster);
    if (tablespace !== undefined)
      await database.cluster.query(`ALTER DATABASE "${database.name}" SET TABLESPACE ${tablespace}`);
    return new CrashScene(t, simulator, database, { flags, ...(proxy === undefined ? {} : { proxy }) });
  }

  start({ npm = false, flags = [], env = {} }: StartIngester = {}): Program {
    const all = [...this.#flags, ...flags];
    const options = {
      env: {
        ...SETTINGS,
        API_BASE_URL: this.simulator.baseUrl,
        TARGET_API_KEY: KEY,
        DATABASE_URL: this.#databaseUrl,
        LOG_FORMAT: 'json',
        LOG_LEVEL: 'debug',
        ...env,
      },
    };
    return npm ? startNpm(this.#t, 'start', all, options) : startMain(this.#t, all, options);
  }

  /** Starts one in this process. @param from another name of the API */
  startJob(flags: readonly string[] = [], from: { readonly baseUrl: string } = this.simulator): RunningJob {
    const target = { baseUrl: from.baseUrl, databaseUrl: this.#databaseUrl };
    return RunningJob.start(this.#t, target, { settings: SETTINGS, flags: [...this.#flags, ...flags] });
  }

  /** Starts a program, and waits until it is at work. */
  async startAtWork(pages: number, options: StartIngester = {}): Promise<Program> {
    const ingester = this.start(options);
    await this.atWork(pages, ingester);
    return ingester;
  }

  /** Waits until its run has begun and the API has served this many pages since. */
  async atWork(pages: number, ingester: Ingester): Promise<void> {
    await this.untilLog(/^run started/, ingester);
    await this.pagesMore(pages, ingester);
  }

  /** Starts a job on an API without latency, and expects it to complete the table. */
  async finish(flags: readonly string[] = []): Promise<RunningJob> {
    this.simulator.apply({ latency: 0, latencyJitter: 0 });
    const job = this.startJob(flags);
    await this.expectComplete(job);
    return job;
  }

  async expectExit(ingester: Ingester, code: number): Promise<void> {
    const { code: found } = await ingester.waitForExit();
    assert.equal(found, code, `exit code ${found}, expected ${code}\n${lastLines(ingester)}`);
  }

  /** The ingester ends with 0; the table is exact. @returns the number of rows */
  async expectComplete(ingester: Ingester): Promise<number> {
    await this.expectExit(ingester, 0);
    return this.assertExact().catch((error: unknown) => {
      throw new Error(`${String(error)}\n${lastLines(ingester)}`);
    });
  }

  /** Every id and every value that the API served is in the table, nothing else is, and the runs say so. */
  async assertExact(): Promise<number> {
    const rows = await assertExact(this);
    await assertBalanced(this.database);
    const unusable = new Set<string>();
    for (const { id, raw } of this.simulator.truth()) if (id === null) unusable.add(Buffer.from(raw).toString());
    const { rows: found } = await this.database.query(
      `SELECT ${IS_FINISHED} AS finished, (SELECT sum(inserted) FROM ingestion.run)::float8 AS inserted,
              (SELECT count(DISTINCT original) FROM ingestion.anomaly WHERE kind = 'rejected')::float8 AS rejected`,
    );
    assert.deepEqual(found, [{ finished: true, inserted: rows, rejected: unusable.size }]);
    return rows;
  }

  get pagesServed(): number {
    return this.simulator.stats().pagesServed;
  }

  /** Waits until the API has served `count` pages more than at the call. */
  async pagesMore(count: number, ingester: Ingester | null): Promise<void> {
    const wanted = this.pagesServed + count;
    await this.until(`${count} more pages`, () => Promise.resolve(this.pagesServed >= wanted), ingester);
  }

  async untilLog(message: RegExp, ingester: Ingester): Promise<void> {
    await this.until(String(message), () => Promise.resolve(countLogs(ingester, message) > 0), ingester);
  }

  /** Waits until `count` pages are copied, merged or not. */
  async pagesStaged(count: number, ingester: Ingester): Promise<void> {
    const hasTables = `SELECT count(*) FROM pg_class WHERE relname = 'staging_ledger_b_1'`;
    const pages = `(SELECT count(*) FROM ingestion.staging_ledger_a_1) + (SELECT count(*) FROM ingestion.staging_ledger_b_1)
                   + coalesce((SELECT sum(pages) FROM ingestion.run), 0)`;
    const { database } = this;
    const holds = async (): Promise<boolean> =>
      (await database.number(hasTables)) > 0 && (await database.number(pages)) >= count;
    await this.until(`${count} staged pages`, holds, ingester);
  }

  /** True while a backend of an ingester is merging. */
  async isMerging(): Promise<boolean> {
    const backends = await this.database.number(
      `SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = '${APPLICATION_NAME} merge' AND state <> 'idle'`,
    );
    return backends > 0;
  }

  /** Asks again and again. @throws when the ingester ends first, or `holds` stays false for too long */
  async until(what: string, holds: () => Promise<boolean>, ingester: Ingester | null): Promise<void> {
    const deadlineMs = Date.now() + GIVE_UP_MS;
    while (!(await holds())) {
      if (ingester !== null && ingester.ended !== null) {
        throw new Error(`waited for ${what}; the ingester ended with ${ingester.ended.code}\n${lastLines(ingester)}`);
      }
      if (Date.now() > deadlineMs) {
        throw new Error(`${what} did not come\n${ingester === null ? '' : lastLines(ingester)}`);
      }
      await delay(POLL_MS);
    }
  }
}

export function hasLog(message: RegExp): (line: LogLine) => boolean {
  return ({ msg }) => typeof msg === 'string' && message.test(msg);
}

export function countLogs(ingester: Ingester, message: RegExp): number {
  return ingester.logs.filter(hasLog(message)).length;
}

/** The end of its output, for messages of failed assertions. */
export function lastLines(ingester: Ingester): string {
  return `${ingester.stdout.slice(-3_000)}\n${ingester.stderr.slice(-1_000)}`;
}
