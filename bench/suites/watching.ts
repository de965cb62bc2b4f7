/** What watching costs: the job alone, against the job with its page open twice and its metrics scraped every second. */
import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { runJobOnce } from '../measure/job-in-database.ts';
import { BenchServer } from '../measure/server.ts';
import { median, round } from '../results/statistics.ts';
import type { BenchContext, Suite } from '../suite.ts';

const VIEWERS = 2;
const SCRAPE_EVERY_MS = 1_000;
const PROMISED_RATIO = 1.02;

const servingSchema = z.object({
  msg: z.literal('serving the live page, /metrics, /health and /ready'),
  url: z.string(),
});

interface Round {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

export const suite: Suite = {
  name: 'watching',
  title: 'The job while it is watched',
  byDefault: false,
  promisedAt: 1_000_000,
  run: async (context) => {
    const server = await BenchServer.start(context.folder, { tuned: context.options.tuned });
    const alone: Round[] = [];
    const watched: Round[] = [];
    try {
      for (let at = 1; at <= context.options.rounds; at += 1) {
        // The two take turns in going first: merges were seen to take 1.9 and 3.3 s alternately, whichever was measured.
        if (at % 2 === 1) alone.push(await measureAlone(context, server));
        watched.push(await measureWatched(context, server));
        if (at % 2 === 0) alone.push(await measureAlone(context, server));
        context.say(
          `round ${at}: ${alone.at(-1)?.seconds.toFixed(2)} s alone, ${watched.at(-1)?.seconds.toFixed(2)} s watched`,
        );
      }
    } finally {
      await server.stop();
    }
    return present(context.options.events, alone, watched);
  },
};

async function measureAlone(context: BenchContext, server: BenchServer): Promise<Round> {
  return roundOf(
    await runJobOnce(context, { server, events: context.options.events, source: { eventsLimit: 0 }, flags: [] }),
  );
}

async function measureWatched(context: BenchContext, server: BenchServer): Promise<Round> {
  const over = new AbortController();
  const watching: Promise<unknown>[] = [];
  try {
    const run = await runJobOnce(context, {
      server,
      events: context.options.events,
      source: { eventsLimit: 0 },
      flags: ['--http-port', '0'],
      onLine: (line) => {
        const serving = servingSchema.safeParse(parse(line));
        if (!serving.success) return;
        const { url } = serving.data;
        const all = [...Array.from({ length: VIEWERS }, () => view(url, over.signal)), scrape(url, over.signal)];
        // All end with an error, because the job closes its server. It is enough that they began.
        watching.push(Promise.allSettled(all));
      },
    });
    if (watching.length === 0) throw new Error('the job did not log the address of its page');
    return roundOf(run);
  } finally {
    over.abort();
    await Promise.all(watching);
  }
}

/** Reads what an open page receives, until the job closes its server. */
async function view(url: string, signal: AbortSignal): Promise<void> {
  const { body } = await fetch(new URL('/events', url), { signal });
  const reader = body?.getReader();
  while (reader !== undefined && !(await reader.read()).done);
}

async function scrape(url: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    await (await fetch(new URL('/metrics', url), { signal })).text();
    await setTimeout(SCRAPE_EVERY_MS, undefined, { signal });
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

function roundOf(run: { seconds: number; cpuSeconds?: { user: number; system: number } }): Round {
  if (run.cpuSeconds === undefined) throw new Error('the job did not log its CPU seconds');
  return { seconds: run.seconds, cpuSeconds: run.cpuSeconds.user + run.cpuSeconds.system };
}

function present(events: number, alone: readonly Round[], watched: readonly Round[]) {
  const medians = (rounds: readonly Round[]): Round => ({
    seconds: median(rounds.map(({ seconds }) => seconds)),
    cpuSeconds: median(rounds.map(({ cpuSeconds }) => cpuSeconds)),
  });
  const without = medians(alone);
  const withPage = medians(watched);
  const cpuRatio = withPage.cpuSeconds / without.cpuSeconds;
  return {
    tables: [
      {
        title: `${events} events, medians of ${alone.length} rounds`,
        columns: ['', 'seconds', 'CPU seconds of the job'],
        rows: [
          ['alone', round(without.seconds), round(without.cpuSeconds)],
          ['watched', round(withPage.seconds), round(withPage.cpuSeconds)],
          ['watched ÷ alone', round(withPage.seconds / without.seconds, 3), round(cpuRatio, 3)],
        ],
        note: `Watched: ${VIEWERS} open pages and a scrape of /metrics a second. Seconds differ by more than this between any two runs, so the promise is held to CPU seconds.`,
      },
    ],
    charts: [],
    checks: [
      {
        what: 'CPU seconds of the job, watched ÷ alone',
        target: `≤ ${PROMISED_RATIO}`,
        measured: String(round(cpuRatio, 3)),
        holds: cpuRatio <= PROMISED_RATIO,
      },
    ],
    raw: { alone, watched },
  };
}
