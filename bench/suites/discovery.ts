/** How much of the API's latency parallel windows hide, and how many requests they cost. */
import { runJobOnce } from '../measure/job-in-database.ts';
import type { Check } from '../results/result.ts';
import { BenchServer } from '../measure/server.ts';
import { round } from '../results/statistics.ts';
import type { BenchContext, Suite } from '../suite.ts';

const LATENCY_MS = 200;
const PAGES = 600;
const PAGE_EVENTS = 500;
const SPARE_REQUESTS = 24;

interface Case {
  readonly distribution: 'uniform' | 'skewed';
  readonly concurrency: number;
  /** Percent of the ideal. */
  readonly promisedPercent: number;
  /** Share of requests beyond the pages of a single chain; {@link SPARE_REQUESTS} are allowed on top. */
  readonly moreRequests: number;
}

const CASES: readonly Case[] = [
  { distribution: 'uniform', concurrency: 1, promisedPercent: 95, moreRequests: 0.03 },
  { distribution: 'uniform', concurrency: 4, promisedPercent: 90, moreRequests: 0.03 },
  { distribution: 'uniform', concurrency: 16, promisedPercent: 80, moreRequests: 0.03 },
  { distribution: 'skewed', concurrency: 1, promisedPercent: 75, moreRequests: 0.1 },
  { distribution: 'skewed', concurrency: 4, promisedPercent: 75, moreRequests: 0.1 },
  { distribution: 'skewed', concurrency: 16, promisedPercent: 75, moreRequests: 0.1 },
];

interface Result extends Case {
  readonly seconds: number;
  readonly idealSeconds: number;
  readonly percent: number;
  readonly requests: number;
  readonly allowedRequests: number;
  readonly doubled: number;
}

export const suite: Suite = {
  name: 'discovery',
  title: 'Parallel windows against an API with latency',
  byDefault: false,
  run: async (context) => {
    const server = await BenchServer.start(context.folder, { tuned: context.options.tuned });
    const results: Result[] = [];
    try {
      for (const one of CASES) {
        const result = await measure(context, server, one);
        results.push(result);
        context.say(
          `${one.distribution} ${one.concurrency}: ${result.percent.toFixed(1)} %, ${result.requests} requests`,
        );
      }
    } finally {
      await server.stop();
    }
    return present(results);
  },
};

async function measure(context: BenchContext, server: BenchServer, one: Case): Promise<Result> {
  const run = await runJobOnce(context, {
    server,
    events: PAGES * PAGE_EVENTS,
    source: { latency: LATENCY_MS, distribution: one.distribution, eventsLimit: 0 },
    flags: ['--concurrency', String(one.concurrency), '--page-size', String(PAGE_EVENTS)],
  });
  const idealSeconds = (PAGES * LATENCY_MS) / one.concurrency / 1000;
  return {
    ...one,
    seconds: run.mergedSeconds,
    idealSeconds,
    percent: (idealSeconds / run.mergedSeconds) * 100,
    requests: run.pages.length,
    allowedRequests: Math.floor(PAGES * (1 + one.moreRequests)) + SPARE_REQUESTS,
    doubled: run.served - run.inserted,
  };
}

function present(results: readonly Result[]) {
  return {
    tables: [
      {
        title: `${PAGES} pages of ${PAGE_EVENTS} events, ${LATENCY_MS} ms each`,
        columns: [
          'distribution',
          'concurrency',
          'ideal s',
          'seconds',
          '% of ideal',
          'requests',
          'allowed',
          'events served twice',
        ],
        rows: results.map((result) => [
          result.distribution,
          result.concurrency,
          round(result.idealSeconds),
          round(result.seconds),
          round(result.percent, 1),
          result.requests,
          result.allowedRequests,
          result.doubled,
        ]),
        note: 'Seconds: from the first request to the last row merged. Ideal: pages × latency ÷ concurrency. Requests: for pages and probes.',
      },
    ],
    charts: [
      {
        title: 'Percent of the ideal',
        unit: '%',
        bars: results.map(({ distribution, concurrency, percent }) => ({
          label: `${distribution} ${concurrency}`,
          parts: [{ name: 'of ideal', value: round(percent, 1) }],
        })),
      },
    ],
    checks: results.flatMap((result): Check[] => [
      {
        what: `${result.distribution}, concurrency ${result.concurrency}: of the ideal`,
        target: `≥ ${result.promisedPercent} %`,
        measured: `${round(result.percent, 1)} %`,
        holds: result.percent >= result.promisedPercent,
      },
      {
        what: `${result.distribution}, concurrency ${result.concurrency}: requests`,
        target: `≤ ${result.allowedRequests}`,
        measured: String(result.requests),
        holds: result.requests <= result.allowedRequests,
      },
    ]),
    raw: results,
  };
}
