/** Whether time for each event and peak memory stay the same as the data set grows, and how long a reader of the table waits. */
import { runJobOnce } from '../measure/job-in-database.ts';
import { WaitingReader } from '../measure/waiting-reader.ts';
import { BenchServer } from '../measure/server.ts';
import { round } from '../results/statistics.ts';
import type { Suite } from '../suite.ts';

/** Multiples of `--events`, which is a million by default. */
const SIZES = [1, 3, 8, 20];
/** From here on a run's fixed cost no longer shows. */
const FIRST_LARGE = 3;
const PROMISED_SHARE_OF_RATE = 0.95;
const PROMISED_MEMORY_MB = 350;
const PROMISED_WAIT_SECONDS = 15;

interface Result {
  readonly events: number;
  readonly seconds: number;
  readonly secondsAMillion: number;
  readonly peakMemoryMb: number;
  readonly delayP99Ms: number;
  readonly merges: number;
  readonly readerWaitSeconds: number;
}

export const suite: Suite = {
  name: 'scale',
  title: 'From a million events to twenty',
  byDefault: false,
  promisedAt: 1_000_000,
  run: async (context) => {
    const server = await BenchServer.start(context.folder, { tuned: context.options.tuned });
    const results: Result[] = [];
    try {
      for (const size of SIZES) {
        const events = Math.round(size * context.options.events);
        const reader = new WaitingReader();
        const run = await runJobOnce(context, {
          server,
          events,
          source: { eventsLimit: 0 },
          flags: [],
          beside: (url, over) => reader.read(url, over),
        });
        const result = {
          events,
          seconds: run.seconds,
          secondsAMillion: (run.seconds / events) * 1e6,
          peakMemoryMb: run.peakMemoryMb,
          delayP99Ms: run.eventLoopDelayMs?.p99 ?? 0,
          merges: run.merges,
          readerWaitSeconds: reader.longestMs / 1000,
        };
        results.push(result);
        context.say(`${events}: ${run.seconds.toFixed(2)} s, ${run.peakMemoryMb.toFixed(0)} MB`);
      }
    } finally {
      await server.stop();
    }
    return present(results, context.options.events);
  },
};

function present(results: readonly Result[], million: number) {
  const large = results.filter(({ events }) => events >= FIRST_LARGE * million);
  const share = (large[0]?.secondsAMillion ?? NaN) / (large.at(-1)?.secondsAMillion ?? NaN);
  const wait = Math.max(...results.map(({ readerWaitSeconds }) => readerWaitSeconds));
  const peak = Math.max(...results.map(({ peakMemoryMb }) => peakMemoryMb));
  return {
    tables: [
      {
        title: 'One run each',
        columns: ['events', 'seconds', 'seconds a million', 'peak MB', 'delay p99 ms', 'merges', 'a reader waits s'],
        rows: results.map((result) => [
          result.events,
          round(result.seconds),
          round(result.secondsAMillion),
          Math.round(result.peakMemoryMb),
          round(result.delayP99Ms),
          result.merges,
          round(result.readerWaitSeconds),
        ]),
        note: 'Without process start-up. The fixed cost of a run (the first page decides types, the look for newer events, ANALYZE) weighs most on the smallest.',
      },
    ],
    charts: [
      {
        title: 'Seconds a million events',
        unit: 's',
        bars: results.map(({ events, secondsAMillion }) => ({
          label: `${events / 1e6} million`,
          parts: [{ name: 'seconds', value: round(secondsAMillion) }],
        })),
      },
      {
        title: 'Peak memory',
        unit: 'MB',
        bars: results.map(({ events, peakMemoryMb }) => ({
          label: `${events / 1e6} million`,
          parts: [{ name: 'memory', value: Math.round(peakMemoryMb) }],
        })),
      },
    ],
    checks: [
      {
        what: 'events/s at twenty million, of those at three',
        target: `≥ ${PROMISED_SHARE_OF_RATE}`,
        measured: String(round(share)),
        holds: share >= PROMISED_SHARE_OF_RATE,
      },
      {
        what: 'peak memory, at every size',
        target: `≤ ${PROMISED_MEMORY_MB} MB`,
        measured: `${Math.round(peak)} MB`,
        holds: peak <= PROMISED_MEMORY_MB,
      },
      {
        what: 'longest wait of a reader of the table, at every size',
        target: `≤ ${PROMISED_WAIT_SECONDS} s`,
        measured: `${round(wait)} s`,
        holds: wait <= PROMISED_WAIT_SECONDS,
      },
    ],
    raw: results,
  };
}
