/** The merge alone, against plain SQL. */
import { join } from 'node:path';
import { rm } from 'node:fs/promises';
import { runComparison } from '../comparison.ts';
import { startScript } from '../measure/processes.ts';
import type { Check } from '../results/result.ts';
import { BenchServer } from '../measure/server.ts';
import { Source } from '../measure/source.ts';
import { median, round } from '../results/statistics.ts';
import type { BenchContext, Suite } from '../suite.ts';

const PAGE_EVENTS = 5_000;
/** A later merge has a sixth of the initial merge's events. */
const LATER_SHARE = 6;
const JOB = "the job's";
/** `create table as` is only for comparison: it replaces the public table by one without its grants and views. */
const FIRST_WAYS = [
  JOB,
  `${JOB}, into a table that has had rows`,
  'insert, then key',
  'distinct on (id), then key',
  'create table as, then key',
];
const SAFE_FIRST_WAYS = ['insert, then key', 'distinct on (id), then key'];
const LATER_WAYS = [JOB, 'one sorted insert on conflict'];
const PROMISED_FIRST = 1.1;
const PROMISED_LATER = 1.2;

export const suite: Suite = {
  name: 'merge',
  title: 'Staging to target, against plain SQL',
  byDefault: false,
  promisedAt: 3_000_000,
  run: async (context) => {
    const { events, tuned } = context.options;
    const laterEvents = Math.round(events / LATER_SHARE);
    const server = await BenchServer.start(context.folder, { tuned });
    const source = await Source.start({ events: events + laterEvents, eventsLimit: 0 });
    const file = join(context.folder, 'batches');
    try {
      context.say('encoding beforehand');
      await startScript('bench/programs/encode-beforehand.ts', [source.baseUrl, file]).succeeded();
    } finally {
      await source.stop();
    }
    try {
      const firstPages = Math.ceil(events / PAGE_EVENTS);
      const first = await measureWays(context, server, file, firstPages, 'first', FIRST_WAYS);
      const later = await measureWays(context, server, file, firstPages, 'later', LATER_WAYS);
      return present(events, laterEvents, first, later);
    } finally {
      await rm(file, { force: true });
      await server.stop();
    }
  },
};

type Seconds = ReadonlyMap<string, readonly number[]>;

async function measureWays(
  context: BenchContext,
  server: BenchServer,
  file: string,
  firstPages: number,
  when: string,
  ways: readonly string[],
): Promise<Seconds> {
  const seconds = new Map<string, number[]>(ways.map((way) => [way, []]));
  for (let number = 1; number <= context.options.rounds; number += 1) {
    for (const way of ways) {
      const measured = await server.withDatabase((url) =>
        runComparison('bench/programs/merge-ways.ts', [url, file, String(firstPages), `${when}: ${way}`]),
      );
      seconds.get(way)?.push(measured.seconds);
      context.say(`${when} ${way}: ${measured.seconds.toFixed(2)} s`);
    }
  }
  return seconds;
}

function present(events: number, laterEvents: number, first: Seconds, later: Seconds) {
  const of = (all: Seconds, way: string): number => median(all.get(way) ?? []);
  const rows = (all: Seconds) =>
    [...all.keys()].map((way) => [way, round(of(all, way)), round(of(all, way) / of(all, JOB))]);
  const fastestSafe = Math.min(...SAFE_FIRST_WAYS.map((way) => of(first, way)));
  const columns = ['way', 'seconds', "÷ the job's"];
  return {
    tables: [
      {
        title: `Initial merge of ${events} events`,
        columns,
        rows: rows(first),
        note: "Medians, BEGIN to COMMIT. The job's merge also finds double ids, folds the ledger, counts and empties staging. `insert, then key` fails when an id is there twice; `create table as` loses the table's grants, views and comments.",
      },
      { title: `${laterEvents} events into ${events}`, columns, rows: rows(later) },
    ],
    charts: [
      {
        title: 'Initial merge',
        unit: 's',
        bars: [...first.keys()].map((way) => ({
          label: way,
          parts: [{ name: 'merge', value: round(of(first, way)) }],
        })),
      },
    ],
    checks: [
      check('initial merge ÷ the fastest safe way in SQL', of(first, JOB) / fastestSafe, PROMISED_FIRST),
      check(
        'later merge ÷ one sorted INSERT … ON CONFLICT',
        of(later, JOB) / of(later, LATER_WAYS[1] ?? ''),
        PROMISED_LATER,
      ),
    ],
    raw: { first: Object.fromEntries(first), later: Object.fromEntries(later) },
  };
}

function check(what: string, measured: number, target: number): Check {
  return { what, target: `≤ ${target}`, measured: String(round(measured)), holds: measured <= target };
}
