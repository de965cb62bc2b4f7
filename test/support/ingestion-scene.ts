/** A simulator, an empty database and one job that takes everything from the one into the other. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Environment } from '../../src/core/config.ts';
import type { Simulator, StartOptions } from '../../src/simulator/simulator.ts';
import { testDatabase, type TestDatabase } from './database.ts';
import { assertExact, readBooks, type Books } from './exact-target.ts';
import { assertComplete, ingest, type JobEnd, type JobTarget } from './ingestion.ts';
import { simulatorFor } from './simulator-client.ts';

export interface Scene {
  readonly simulator: Simulator;
  readonly database: TestDatabase;
  readonly target: JobTarget;
}

export interface Ingested extends Scene {
  readonly end: JobEnd;
  readonly books: Books;
}

export async function sceneFor(t: TestContext, options: StartOptions): Promise<Scene> {
  const simulator = await simulatorFor(t, options);
  const database = await testDatabase(t);
  return { simulator, database, target: { baseUrl: simulator.baseUrl, databaseUrl: database.url } };
}

/** Runs a job and checks that it ended well, that the run is complete and its books balance. */
export async function ingestInto(scene: Scene, settings: Environment = {}): Promise<Ingested> {
  const end = await ingest(scene.target, settings);
  assertComplete(end);
  const books = await readBooks(scene.database);
  assert.equal(books.status, 'complete');
  return { ...scene, end, books };
}

/** And that every event is there, with every value. */
export async function ingestAll(
  t: TestContext,
  options: StartOptions,
  settings: Environment = {},
  check: { readonly values?: boolean } = {},
): Promise<Ingested> {
  const ingested = await ingestInto(await sceneFor(t, options), settings);
  await assertExact(ingested.database, ingested.simulator, check);
  return ingested;
}

/** Requests for pages, of both endpoints. */
export function pageRequests(simulator: Simulator): number {
  const { requests } = simulator.stats();
  return requests.stream + requests.events;
}
