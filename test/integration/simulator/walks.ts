/** A simulated API whose whole truth is looked at, and walks over it. */
import type { TestContext } from 'node:test';
import type { Simulator, StartOptions } from '../../../src/simulator/simulator.ts';
import { askEvents, eventsOf, simulatorFor, walk, type LivePage } from '../../support/simulator-client.ts';

export const TOTAL = 2_345;

export const withEvents = (t: TestContext, options: StartOptions = {}): Promise<Simulator> =>
  simulatorFor(t, { events: TOTAL, ...options });

export const walkAll = (simulator: Simulator, limit: number): Promise<LivePage[]> =>
  walk({ limit }, (query) => askEvents(simulator, query));

export const truthIds = (simulator: Simulator): (string | null)[] => Array.from(simulator.truth(), ({ id }) => id);
export const idsOf = (pages: readonly LivePage[]): unknown[] => eventsOf(pages).map((event) => event['id']);
