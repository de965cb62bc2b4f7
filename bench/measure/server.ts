/** PostgreSQL for a benchmark: an embedded cluster in its own folder, with a fresh database for each measurement. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/embedded-postgres/embedded-postgres.ts';

export class BenchServer {
  readonly #embedded: EmbeddedPostgres;
  /** An embedded server outlives the process that started it, but nobody else uses this one. */
  readonly #endWithProcess: () => void;
  #databases = 0;

  private constructor(embedded: EmbeddedPostgres, pid: number) {
    this.#embedded = embedded;
    this.#endWithProcess = () => {
      process.kill(pid, 'SIGQUIT');
    };
    // Before the other listeners, which remove its folder.
    process.prependOnceListener('exit', this.#endWithProcess);
  }

  static async start(folder: string, options: { readonly tuned: boolean }): Promise<BenchServer> {
    const embedded = await startEmbeddedPostgres({
      dataDir: join(folder, options.tuned ? 'cluster-tuned' : 'cluster'),
      logger: pino({ level: 'silent' }),
      ...(options.tuned ? {} : { wishes: [] }),
    });
    return new BenchServer(embedded, await pidOf(embedded));
  }

  address(): { readonly host: string; readonly port: number } {
    const { hostname, port } = new URL(this.#embedded.url);
    return { host: hostname, port: Number(port) };
  }

  pid(): Promise<number> {
    return pidOf(this.#embedded);
  }

  /**
   * Gives `work` an empty database, and drops it afterwards. A checkpoint before and after makes PostgreSQL write what it
   * still has in memory, so that no measurement pays for the one before it.
   */
  async withDatabase<T>(work: (url: string) => Promise<T>): Promise<T> {
    this.#databases += 1;
    const name = `bench_${this.#databases}`;
    const url = await this.#embedded.urlFor(name);
    await this.#checkpoint();
    try {
      return await work(url);
    } finally {
      await query(this.#embedded.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      await this.#checkpoint();
    }
  }

  async stop(): Promise<void> {
    await this.#embedded.stop();
    process.off('exit', this.#endWithProcess);
  }

  async #checkpoint(): Promise<void> {
    await query(this.#embedded.url, 'CHECKPOINT');
  }
}

async function pidOf({ dataDir }: EmbeddedPostgres): Promise<number> {
  const file = await readFile(join(dataDir, 'postmaster.pid'), 'utf8');
  return Number(file.split('\n')[0]);
}

/** Runs one statement on a connection of its own. */
export async function query<R extends pg.QueryResultRow>(url: string, sql: string): Promise<R[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'bench' });
  await client.connect();
  try {
    return (await client.query<R>(sql)).rows;
  } finally {
    await client.end();
  }
}
