/** What the tests of the embedded PostgreSQL share. */
import assert from 'node:assert/strict';
import { chmod, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { pino } from 'pino';
import { stopServer } from '../../../src/embedded-postgres/cluster.ts';
import { newClusterFolder } from '../../support/cluster.ts';
import { startScript, type Program, type ProgramOptions } from '../../support/processes.ts';

export const logger = pino({ level: 'silent' });
const PROGRAM = 'test/support/cluster-program.ts';

/** A folder for a cluster, open to the server's account; gone, with any server in it, when the test ends. */
export async function clusterFolder(t: TestContext, name = 'postgres'): Promise<string> {
  const folder = await newClusterFolder('datasync-embedded-');
  await chmod(folder, 0o755);
  const dataDir = join(folder, '.data', name);
  t.after(async () => {
    await stopServer(dataDir, 'immediate');
    await rm(folder, { recursive: true, force: true });
  });
  return dataDir;
}

export async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

export async function startJob(
  t: TestContext,
  dataDir: string,
  who: 'as we are' | 'ordinary' = 'as we are',
  options: ProgramOptions = {},
): Promise<{ job: Program; url: string }> {
  const job = startScript(t, PROGRAM, [dataDir, who], options);
  const { url } = await job.waitForLog(({ msg }) => msg === 'ready', 'the database');
  assert.equal(typeof url, 'string');
  return { job, url: String(url) };
}
