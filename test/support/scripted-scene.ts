/** A scripted API, an empty database, and the program as people start it: judged by exit code, output and table alone. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import type { TestContext } from 'node:test';
import { testDatabase, type TestDatabase } from './database.ts';
import { startMain, type LogLine, type Program } from './processes.ts';
import { ScriptedApi, type PageRequest, type ScriptedOptions } from './scripted-api.ts';
import type { ScriptedEvent } from './scripted-events.ts';

/** One chain of pages; a fault that stays ends the job soon. A later flag of the same name wins. */
const FLAGS = ['--concurrency', '1', '--max-wait', '10', '--page-size', '200'];
/** How many differences a failure shows. */
const MAX_DIFFERENCES = 5;

type Environment = Readonly<Record<string, string>>;

export interface Ending {
  readonly code: number;
  readonly logs: readonly LogLine[];
  readonly stdout: string;
  readonly stderr: string;
}

export class ScriptedScene {
  readonly api: ScriptedApi;
  readonly database: TestDatabase;
  readonly #t: TestContext;

  private constructor(t: TestContext, api: ScriptedApi, database: TestDatabase) {
    this.#t = t;
    this.api = api;
    this.database = database;
  }

  static async open(t: TestContext, options: ScriptedOptions): Promise<ScriptedScene> {
    return new ScriptedScene(t, await ScriptedApi.open(t, options), await testDatabase(t));
  }

  /** Starts the job and does not wait for its end. */
  start(flags: readonly string[] = [], env: Environment = {}): Program {
    return startMain(this.#t, [...FLAGS, ...flags], { env: { ...this.#environment, ...env } });
  }

  /** Runs the job to its end, whatever that is. */
  async ingest(flags: readonly string[] = [], env: Environment = {}): Promise<Ending> {
    return endingOf(this.start(flags, env));
  }

  /** Runs the job in full. @throws unless it ends with 0 and the target holds exactly the API's events */
  async ingestAll(flags: readonly string[] = [], env: Environment = {}): Promise<Ending> {
    const ending = await this.ingest(flags, env);
    await this.expect(ending, 0, this.api.options.events);
    return ending;
  }

  /**
   * Starts the job, and stops it with SIGTERM while a page is on its way: pages before it are merged, and it arrives after
   * the signal was heard.
   */
  async stopAt(isThatPage: (request: PageRequest) => boolean, flags: readonly string[] = []): Promise<Ending> {
    const { hook } = this.api.options;
    const moments = new EventEmitter();
    const asked = once(moments, 'asked');
    const heard = once(moments, 'heard');
    this.api.options.hook = async (request) => {
      if (isThatPage(request)) {
        moments.emit('asked');
        await heard;
      }
      return hook?.(request);
    };
    const program = this.start(flags);
    await Promise.race([asked, program.waitForExit()]);
    if (program.ended === null) {
      program.kill('SIGTERM');
      await program.waitForLog(({ msg }) => /^stopping/.test(String(msg)));
    }
    moments.emit('heard');
    const ending = await endingOf(program);
    if (hook === undefined) delete this.api.options.hook;
    else this.api.options.hook = hook;
    return ending;
  }

  /** Runs another command of the program. */
  async command(args: readonly string[], env: Environment = {}): Promise<Ending> {
    return endingOf(startMain(this.#t, args, { env: { ...this.#environment, ...env } }));
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
    const { stdout } = await this.command(['status', '--json']);
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

  get #environment(): Environment {
    return {
      API_BASE_URL: this.api.baseUrl,
      TARGET_API_KEY: 'test-key',
      DATABASE_URL: this.database.url,
      WORKER_THREADS: '1',
      DB_CONNECTIONS: '2',
      LOG_FORMAT: 'json',
    };
  }

  async #rows(): Promise<Map<string, string> | null> {
    const { rows: found } = await this.database.query<{ there: boolean }>(
      `SELECT to_regclass('ingested_events') IS NOT NULL AS there`,
    );
    if (found[0]?.there !== true) return null;
    const { rows } = await this.database.query<{ id: string; name: string }>(
      'SELECT id::text AS id, name FROM ingested_events',
    );
    return new Map(rows.map(({ id, name }) => [id, name]));
  }
}

export async function endingOf(program: Program): Promise<Ending> {
  const { code } = await program.waitForExit();
  const { logs, stdout, stderr } = program;
  return { code, logs, stdout, stderr };
}

/** The last line of its log. */
export function lastLine(ending: Ending): LogLine {
  return ending.logs.at(-1) ?? assert.fail(`it logged nothing\n${tailOf(ending)}`);
}

/** The reason that a failed job gives, in one text. */
export function reasonOf(ending: Ending): string {
  const line = ending.logs.findLast(({ level }) => level === 'error');
  return typeof line?.msg === 'string' ? line.msg : ending.stderr;
}

/** The last line says that the run is complete, by what it is proven, and whether a person should look. */
export function assertProof(ending: Ending, proof: 'count' | 'api-end', level: 'info' | 'warn' = 'info'): void {
  const line = lastLine(ending);
  const { msg, proof: found, proof_text: text } = line;
  assert.deepEqual({ msg, proof: found, level: line['level'] }, { msg: 'ingestion complete', proof, level });
  assert.ok(typeof text === 'string' && text.length > 0, tailOf(ending));
}

/** Warnings whose text fits. */
export function warnings(ending: Ending, fits: RegExp): readonly LogLine[] {
  return ending.logs.filter(({ level, msg }) => level === 'warn' && typeof msg === 'string' && fits.test(msg));
}

export function tailOf({ stdout, stderr }: Ending): string {
  return `${stdout.slice(-3_000)}\n${stderr.slice(-1_000)}`;
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
