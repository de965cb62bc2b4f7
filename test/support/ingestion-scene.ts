/** A simulator, an empty database, and one job that loads everything from the one into the other. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Environment } from '../../src/core/config.ts';
import type { Simulator, StartOptions } from '../../src/simulator/simulator.ts';
import { testDatabase, type TestDatabase } from './database.ts';
import { assertExact, readRunCounts, type RunCounts } from './exact-target.ts';
import { assertComplete, ingest, type JobEnd, type JobTarget } from './ingestion.ts';
import { simulatorFor } from './simulator-client.ts';

export interface Scene {
  readonly simulator: Simulator;
  readonly database: TestDatabase;
  readonly target: JobTarget;
}

export interface Ingested extends Scene {
  readonly end: JobEnd;
  /** Of the newest run, all its starts together. */
  readonly counts: RunCounts;
}

export async function sceneFor(t: TestContext, options: StartOptions): Promise<Scene> {
  const simulator = await simulatorFor(t, options);
  const database = await testDatabase(t);
  return { simulator, database, target: { baseUrl: simulator.baseUrl, databaseUrl: database.url } };
}

/** Runs a job, and checks that it ended well, that the run is complete and that its counts balance. */
export async function ingestInto(scene: Scene, settings: Environment = {}): Promise<Ingested> {
  const end = await ingest(scene.target, settings);
  assertComplete(end);
  const counts = await readRunCounts(scene.database);
  assert.equal(counts.status, 'complete');
  return { ...scene, end, counts };
}

/** Runs a job in a new scene; also checks that every event is in the target, with every value. */
export async function ingestAll(
  t: TestContext,
  options: StartOptions,
  settings: Environment = {},
  check: { readonly values?: boolean } = {},
): Promise<Ingested> {
  const ingested = await ingestInto(await sceneFor(t, options), settings);
  await assertExact(ingested, check);
  return ingested;
}

/** @returns the number of page requests, of both endpoints */
export function pageRequests(simulator: Simulator): number {
  const { requests } = simulator.stats();
  return requests.stream + requests.events;
}
