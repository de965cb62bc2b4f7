/** A scripted API, an empty database, and jobs from the one into the other: judged by exit code, log, proof and table alone. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { z } from 'zod';
import { exportIds } from '../../src/commands/export-ids.ts';
import { status } from '../../src/commands/status.ts';
import { verify } from '../../src/commands/verify.ts';
import type { Proof } from '../../src/core/state.ts';
import { tableOf, targetNamed } from '../../src/load/schema/source.ts';
import { runCommand, type CommandEnding } from './command-output.ts';
import { databaseIn, testDatabase, type TestCluster, type TestDatabase } from './database.ts';
import { jobFor, type JobEnd } from './ingestion.ts';
import { ScriptedApi, type PageRequest, type ScriptedOptions } from './scripted-api.ts';
import type { ScriptedEvent } from './scripted-events.ts';

/** One chain of pages; a fault that stays ends the job soon. A later flag of the same name wins. */
const FLAGS = ['--concurrency', '1', '--max-wait', '10', '--page-size', '200'];
/** An API in the same process need not be spared. */
const WAITS = { backoff: { baseMs: 20, capMs: 500 }, streamLooks: { firstMs: 300, thenMs: 600 } };
/** How many differences a failure shows. */
const MAX_DIFFERENCES = 5;
/** How many lines of its log a failure shows. */
const MAX_LINES = 15;

/** A line of the log, its level in words. */
const LINE = z.looseObject({ level: z.number().transform((level) => pino.levels.labels[level]), msg: z.string() });
type Line = z.output<typeof LINE>;

const COMMANDS = { 'export-ids': exportIds, status, verify } as const;

/** How a job ended. */
export interface Ending {
  readonly code: number;
  readonly logs: readonly Line[];
  /** `null` when it did not end complete. */
  readonly proof: Proof | null;
  /** Why it failed; empty when it did not. */
  readonly reason: string;
}

export class ScriptedScene {
  readonly api: ScriptedApi;
  readonly database: TestDatabase;
  readonly #source: string;

  private constructor(api: ScriptedApi, database: TestDatabase, source = 'datasync') {
    this.api = api;
    this.database = database;
    this.#source = source;
  }

  /** @param cluster another one than the test process shares */
  static async open(t: TestContext, options: ScriptedOptions, cluster?: TestCluster): Promise<ScriptedScene> {
    const database = cluster === undefined ? await testDatabase(t) : await databaseIn(t, cluster);
    return new ScriptedScene(await ScriptedApi.open(t, options), database);
  }

  /** The same scene, with jobs that reach the database in another way: as another role, or through a pooler. */
  through(url: string): ScriptedScene {
    return new ScriptedScene(this.api, { ...this.database, url }, this.#source);
  }

  /** Another source in the same database, with an API of its own. */
  async beside(t: TestContext, source: string, options: ScriptedOptions): Promise<ScriptedScene> {
    return new ScriptedScene(await ScriptedApi.open(t, options), this.database, source);
  }

  /** The same scene, with jobs of a role that is made here: it may log in, and what the statements grant to `job`. */
  async asRole(...statements: readonly string[]): Promise<ScriptedScene> {
    const role = `${this.database.name}_job`;
    const url = new URL(this.database.url);
    await this.database.query(`CREATE ROLE ${role} LOGIN PASSWORD '${url.password}'`);
    for (const statement of statements) await this.database.query(statement.replaceAll('{job}', role));
    url.username = role;
    return this.through(url.href);
  }

  /** Runs a job in this process to its end, whatever that is. @param from another source than the scene's */
  async ingest(flags: readonly string[] = [], from: { readonly baseUrl: string } = this.api): Promise<Ending> {
    return endingOf(await this.#jobFor(flags, from).run());
  }

  /** Runs the job in full. @throws unless it ends with 0 and the target holds exactly the API's events */
  async ingestAll(flags: readonly string[] = []): Promise<Ending> {
    const ending = await this.ingest(flags);
    await this.expect(ending, 0, this.api.options.events);
    return ending;
  }

  /** Runs a job and stops it while a page is on its way: what came before it is merged, and so is that page. */
  async stopAt(isThatPage: (request: PageRequest) => boolean, flags: readonly string[] = []): Promise<Ending> {
    const { hook } = this.api.options;
    const { job, run } = this.#jobFor(flags, this.api);
    this.api.options.hook = (request) => {
      if (isThatPage(request)) job.stop();
      return hook?.(request);
    };
    const ending = endingOf(await run());
    if (hook === undefined) delete this.api.options.hook;
    else this.api.options.hook = hook;
    return ending;
  }

  /** Runs another command of the program, in this process. */
  async command(
    name: keyof typeof COMMANDS,
    flags: readonly string[] = [],
    about: { readonly baseUrl: string } = this.api,
  ): Promise<CommandEnding> {
    return runCommand(() => COMMANDS[name](flags, this.#environment(about)));
  }

  /** The code, and what the target holds then: a failure shows both. */
  async expect(ending: Ending, code: number, events: readonly ScriptedEvent[]): Promise<void> {
    const rows = await this.#rows();
    const shown = `exit code ${ending.code} with ${rows?.size ?? 'no table for'} rows, expected ${code}`;
    assert.equal(ending.code, code, `${shown}\n${tailOf(ending)}`);
    const wrong = differences(rows ?? new Map(), events);
    assert.deepEqual(
      wrong.slice(0, MAX_DIFFERENCES),
      [],
      `${shown}: ${wrong.length} rows are wrong\n${tailOf(ending)}`,
    );
  }

  /** The newest run as `status --json` shows it. */
  async runStatus(): Promise<Readonly<Record<string, unknown>>> {
    const { stdout } = await this.command('status', ['--json']);
    const { run } = JSON.parse(stdout) as { run: Readonly<Record<string, unknown>> };
    return run;
  }

  /** Different events that have no row, by reason. */
  async rejected(): Promise<Readonly<Record<string, number>>> {
    const { rows } = await this.database.query<{ reason: string; events: number }>(
      `SELECT reason, count(*)::int AS events FROM ingestion.anomaly WHERE kind = 'rejected' GROUP BY reason`,
    );
    return Object.fromEntries(rows.map(({ reason, events }) => [reason, events]));
  }

  /** What a query of one number gives. */
  async count(sql: string): Promise<number> {
    const { rows } = await this.database.query<{ n: number }>(`SELECT (${sql})::int AS n`);
    return rows[0]?.n ?? assert.fail(`no row: ${sql}`);
  }

  #jobFor(flags: readonly string[], { baseUrl }: { readonly baseUrl: string }): ReturnType<typeof jobFor> {
    return jobFor(
      { baseUrl, databaseUrl: this.database.url },
      { SOURCE_NAME: this.#source },
      [...FLAGS, ...flags],
      WAITS,
    );
  }

  #environment({ baseUrl }: { readonly baseUrl: string }): Readonly<Record<string, string>> {
    return {
      API_BASE_URL: baseUrl,
      SOURCE_NAME: this.#source,
      TARGET_API_KEY: 'test-key',
      DATABASE_URL: this.database.url,
      WORKER_THREADS: '1',
      DB_CONNECTIONS: '2',
      LOG_FORMAT: 'json',
    };
  }

  async #rows(): Promise<Map<string, string> | null> {
    const { sql, oid } = targetNamed(tableOf(this.#source), { described: 'a test' });
    const { rows: found } = await this.database.query<{ there: boolean }>(`SELECT ${oid} IS NOT NULL AS there`);
    if (found[0]?.there !== true) return null;
    const { rows } = await this.database.query<{ id: string; name: string }>(`SELECT id::text AS id, name FROM ${sql}`);
    return new Map(rows.map(({ id, name }) => [id, name]));
  }
}

function endingOf({ exitCode, log, report, error }: JobEnd): Ending {
  const logs = log.map((line) => LINE.parse(JSON.parse(line)));
  return { code: exitCode, logs, proof: report?.proof ?? null, reason: error?.message ?? '' };
}

/** It ended complete, and by what it is proven. */
export function assertProof(ending: Ending, kind: 'count' | 'api-end'): void {
  assert.equal(ending.code, 0, tailOf(ending));
  assert.equal(ending.proof?.kind, kind, tailOf(ending));
  assert.ok(ending.proof.sentence.length > 0, tailOf(ending));
}

/** Warnings whose text fits. */
export function warnings(ending: Ending, fits: RegExp): readonly Line[] {
  return ending.logs.filter(({ level, msg }) => level === 'warn' && fits.test(msg));
}

export function tailOf({ logs, reason }: Ending): string {
  return [...logs.slice(-MAX_LINES).map((line) => JSON.stringify(line)), reason].join('\n');
}

/** An id that was served more than once may be the row of any of its events. */
function differences(rows: ReadonlyMap<string, string>, events: readonly ScriptedEvent[]): string[] {
  const served = new Map<string, string[]>();
  for (const { id, name } of events) served.set(String(id), [...(served.get(String(id)) ?? []), name]);
  const wrong: string[] = [];
  for (const [id, names] of served) {
    const name = rows.get(id);
    if (name === undefined) wrong.push(`${id} (${names.join(', ')}) is missing`);
    else if (!names.includes(name)) wrong.push(`${id} (${names.join(', ')}) has the name ${name}`);
  }
  for (const [id, name] of rows) if (!served.has(id)) wrong.push(`${id} (${name}) was never served`);
  return wrong;
}
