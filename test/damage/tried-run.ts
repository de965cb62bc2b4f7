/** One whole run over a damaged source: a real API, real threads, a real table. */
import assert from 'node:assert/strict';
import pg from 'pg';
import type { TestCluster } from '../support/cluster.ts';
import { jobFor } from '../support/ingestion.ts';
import { ScriptedApi } from '../support/scripted-api.ts';
import { eventNumber } from '../support/scripted-events.ts';
import { bodyOf, SHAPES, type Shape } from './body.ts';
import { drawDamage, drawEvent, type SourceEvent } from './damaged-events.ts';
import { Dice } from './dice.ts';
import { breachesOf, type SetAside, type StoredRow } from './oracle.ts';

const PAGE_SIZE = 50;

/** Takes what is to be done when the run is over. */
interface AtEnd {
  readonly after: (end: () => unknown) => unknown;
}

export interface TriedRun {
  readonly shape: Shape;
  /** What is wrong, a sentence each. */
  readonly breaches: readonly string[];
  readonly requests: number;
  readonly proof: string;
}

/** A source of some pages, that a seed damages. */
export async function triedRun(seed: number, cluster: TestCluster): Promise<TriedRun> {
  const dice = new Dice(seed);
  const shape = dice.pick(SHAPES);
  const clean = Array.from({ length: PAGE_SIZE * (1 + dice.below(6)) }, (_, n) => drawEvent(dice, n));
  const events = drawDamage(dice, clean, dice.pick([0.01, 0.02, 0.05]));
  const endings: (() => unknown)[] = [];
  try {
    const t = { after: (end: () => unknown): unknown => endings.push(end) };
    // Drawn apart: a seed means the source that it always meant.
    const hasInclusiveCursor = new Dice(~seed).chance(0.25);
    const ran = await runOver(t, { cluster, name: `damage_${seed}` }, events, { shape, hasInclusiveCursor });
    return { shape, ...ran };
  } finally {
    for (const end of endings.reverse()) await end();
  }
}

async function runOver(
  t: AtEnd,
  { cluster, name }: { readonly cluster: TestCluster; readonly name: string },
  events: readonly SourceEvent[],
  { shape, hasInclusiveCursor }: { readonly shape: Shape; readonly hasInclusiveCursor: boolean },
): Promise<Omit<TriedRun, 'shape'>> {
  const url = await cluster.createDatabase(name);
  const database = new pg.Client({ connectionString: url });
  await database.connect();
  t.after(() => database.end());
  const api = await ScriptedApi.open(t, {
    // Only their times and their number count: the bodies are made of the damaged ones.
    events: events.map((_, n) => eventNumber(n)),
    maxPage: PAGE_SIZE,
    hasStream: shape !== 'doc',
    hasInclusiveCursor,
    hook: ({ query, usual }) => {
      const { first, end, body } = usual;
      const nextCursor = cursorOf(body);
      return { body: bodyOf(events, { first, end, limit: Number(query.get('limit')), nextCursor }, shape) };
    },
  });
  const flags = ['--concurrency', '2', '--max-wait', '20', '--page-size', String(PAGE_SIZE)];
  const { run } = jobFor({ baseUrl: api.baseUrl, databaseUrl: url }, {}, [
    ...flags,
    ...['--max-rejected', '100%', '--id-type', 'text'],
  ]);
  const { exitCode, error, report, log } = await run();
  if (exitCode !== 0) {
    const text = `it ended with ${exitCode}: ${String(error)}\n${log.slice(-20).join('')}`;
    return { breaches: [text], requests: api.pageRequests, proof: 'none' };
  }
  const rows = await database.query<StoredRow & Record<string, unknown>>(
    'SELECT id, name, type, properties::text AS properties, device_type AS "deviceType" FROM ingested_events',
  );
  const anomalies = await database.query<SetAside & Record<string, unknown>>(
    'SELECT kind, original FROM ingestion.anomaly',
  );
  return {
    breaches: breachesOf(events, rows.rows, anomalies.rows),
    requests: api.pageRequests,
    proof: report?.proof?.kind ?? assert.fail('a complete run is proven'),
  };
}

function cursorOf(body: Readonly<Record<string, unknown>>): string | null {
  const { pagination } = body as { readonly pagination: { readonly nextCursor: string | null } };
  return pagination.nextCursor;
}
