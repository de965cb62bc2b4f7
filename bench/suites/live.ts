/**
 * How long the job would take on the live service. Time and events are scaled down by the same factor, so that the number of
 * pages and requests, and the database's work in a second, stay the same.
 */
import { runJobOnce } from '../measure/job-in-database.ts';
import { BenchServer } from '../measure/server.ts';
import { round } from '../results/statistics.ts';
import type { BenchContext, Suite } from '../suite.ts';

const FACTOR = 20;
const EVENTS = 3_000_000;
const PAGE_EVENTS = 5_000;
const PAGE_MS = 3_500;
const WINDOW_SECONDS = { stream: 300, events: 60 };
const CURSOR_SECONDS = 116;
const CONCURRENCIES = [1, 4, 8, 16];
const PROMISED_MINUTES = 30;
/** The job's default. */
const DEFAULT_CONCURRENCY = 8;

interface Result {
  readonly concurrency: number;
  readonly minutes: number;
  readonly requests: number;
  readonly refused: number;
}

export const suite: Suite = {
  name: 'live',
  title: `The live service, ${FACTOR} times as fast with a ${FACTOR}th of the events`,
  byDefault: false,
  run: async (context) => {
    const server = await BenchServer.start(context.folder, { tuned: context.options.tuned });
    const results: Result[] = [];
    try {
      for (const concurrency of CONCURRENCIES) {
        const result = await measure(context, server, concurrency);
        results.push(result);
        context.say(`concurrency ${concurrency}: ${result.minutes.toFixed(1)} minutes, ${result.refused} refused`);
      }
    } finally {
      await server.stop();
    }
    return present(results);
  },
};

async function measure(context: BenchContext, server: BenchServer, concurrency: number): Promise<Result> {
  const run = await runJobOnce(context, {
    server,
    events: EVENTS / FACTOR,
    source: {
      pageCap: PAGE_EVENTS / FACTOR,
      latency: PAGE_MS / FACTOR,
      streamLimit: 200,
      streamWindow: WINDOW_SECONDS.stream / FACTOR,
      eventsLimit: 10,
      eventsWindow: WINDOW_SECONDS.events / FACTOR,
      cursorTtl: CURSOR_SECONDS / FACTOR,
      tokenLifetime: WINDOW_SECONDS.stream / FACTOR,
    },
    flags: ['--concurrency', String(concurrency)],
  });
  return {
    concurrency,
    minutes: (run.seconds * FACTOR) / 60,
    requests: run.pages.length,
    refused: run.pages.filter(({ status }) => status === 429).length,
  };
}

function present(results: readonly Result[]) {
  const preset = results.find(({ concurrency }) => concurrency === DEFAULT_CONCURRENCY);
  return {
    tables: [
      {
        title: `${EVENTS} events, ${PAGE_MS} ms a page, 200 requests in 5 minutes, not announced`,
        columns: ['concurrency', 'minutes', 'events/s', 'requests', 'refused (429)'],
        rows: results.map(({ concurrency, minutes, requests, refused }) => [
          concurrency,
          round(minutes, 1),
          Math.round(EVENTS / minutes / 60),
          requests,
          refused,
        ]),
        note: `Measured with time and events divided by ${FACTOR}, minutes and events/s multiplied back. The job's own pauses (backoff, whole seconds of Retry-After) are not scaled, so the real service would be a little faster. 600 pages at 200 in 5 minutes cannot take less than 10 minutes.`,
      },
    ],
    charts: [
      {
        title: 'Minutes for 3,000,000 events',
        unit: 'min',
        bars: results.map(({ concurrency, minutes }) => ({
          label: `concurrency ${concurrency}`,
          parts: [{ name: 'minutes', value: round(minutes, 1) }],
        })),
      },
    ],
    checks: [
      {
        what: `3,000,000 events from the live service, default concurrency (${DEFAULT_CONCURRENCY})`,
        target: `< ${PROMISED_MINUTES} min`,
        measured: `${round(preset?.minutes ?? NaN, 1)} min`,
        holds: (preset?.minutes ?? Infinity) < PROMISED_MINUTES,
      },
    ],
    raw: results,
  };
}
