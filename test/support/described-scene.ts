/** A shipped source, the stub of its vendor and an empty database: jobs of the source run in this process. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { IngestionJob } from '../../src/app/ingestion-job.ts';
import type { JobOptions } from '../../src/app/job-options.ts';
import type { Environment } from '../../src/core/config.ts';
import { EXIT_CODES, exitCodeOf } from '../../src/core/errors.ts';
import { testDatabase, type TestDatabase } from './database.ts';
import { describedJob } from './described-job.ts';
import { assertRows } from './described-rows.ts';
import { descriptionText, shipped, type ShippedSource } from './vendors/shipped.ts';
import type { VendorOptions, VendorStub } from './vendors/vendor.ts';

/** A stub in the same process need not be spared. */
const WAITS: NonNullable<JobOptions['waits']> = { backoff: { baseMs: 20, capMs: 500 } };
/** How many lines of its log a failure shows. */
const MAX_LINES = 20;

export interface DescribedEnd {
  readonly code: number;
  /** Why it failed; empty when it did not. */
  readonly reason: string;
  /** Lines of the log, one JSON text each. */
  readonly log: readonly string[];
}

export interface DescribedOptions extends VendorOptions {
  /** Changes the text of the description. */
  readonly rewrite?: (description: string) => string;
}

/** An API that a job is run against. */
type StubbedApi = Pick<VendorStub, 'origin' | 'records'>;

export class DescribedScene<Stub extends StubbedApi = VendorStub> {
  readonly source: Pick<ShippedSource, 'environment'>;
  readonly stub: Stub;
  readonly database: TestDatabase;
  readonly description: string;

  private constructor(
    source: Pick<ShippedSource, 'environment'>,
    stub: Stub,
    database: TestDatabase,
    description: string,
  ) {
    this.source = source;
    this.stub = stub;
    this.database = database;
    this.description = description;
  }

  /** `limits` of the description are left out: the stub has none, unless the options have. */
  static async open(t: TestContext, name: string, options: DescribedOptions): Promise<DescribedScene> {
    const source = shipped(name);
    const stub = await source.open(t, options);
    const { rewrite = (text: string) => text.replace(/^limits: \{ perSecond: .*\n/m, '') } = options;
    return new DescribedScene(source, stub, await testDatabase(t), rewrite(descriptionText(name, stub)));
  }

  /** Any description with a stub of its API. */
  static async of<Stub extends StubbedApi>(
    t: TestContext,
    stub: Stub,
    description: string,
    environment: ShippedSource['environment'] = {},
  ): Promise<DescribedScene<Stub>> {
    return new DescribedScene({ environment }, stub, await testDatabase(t), description);
  }

  /** The same stub and database, with a description that differs. */
  static beside<Stub extends StubbedApi>(
    scene: DescribedScene<Stub>,
    rewrite: (description: string) => string,
  ): DescribedScene<Stub> {
    return new DescribedScene(scene.source, scene.stub, scene.database, rewrite(scene.description));
  }

  /** Runs a job to its end, whatever that is. @param environment beats that of the source */
  async ingest(
    flags: readonly string[] = [],
    { environment = {} }: { readonly environment?: Environment } = {},
  ): Promise<DescribedEnd> {
    const log: string[] = [];
    try {
      const job = await this.#job(flags, environment, log);
      const report = await job.run();
      const code = report.outcome === 'complete' ? EXIT_CODES.complete : EXIT_CODES.terminated;
      return { code, reason: '', log };
    } catch (error) {
      return { code: exitCodeOf(error), reason: error instanceof Error ? error.message : String(error), log };
    }
  }

  /** Runs a job in full. @throws unless it ends with 0 and the table holds exactly the records of the stub */
  async ingestAll(flags: readonly string[] = []): Promise<DescribedEnd> {
    const end = await this.ingest(flags);
    assertCode(end, 0);
    await this.assertExact();
    return end;
  }

  async assertExact(): Promise<void> {
    await assertRows(this.database, this.description, this.stub.records);
  }

  #job(flags: readonly string[], environment: Environment, log: string[]): Promise<IngestionJob> {
    const settings = { DATABASE_URL: this.database.url, WORKER_THREADS: '1', DB_CONNECTIONS: '2', MAX_WAIT: '20' };
    const variables = { ...this.source.environment, ...environment };
    return describedJob({ text: this.description, variables, settings, flags, waits: WAITS }, log);
  }
}

export function assertCode(end: DescribedEnd, code: number): void {
  assert.equal(end.code, code, [...end.log.slice(-MAX_LINES), end.reason].join('\n'));
}
