/** Whether time for each event and peak memory stay the same as the data set grows. */
import { runJobOnce } from '../measure/job-in-database.ts';
import { BenchServer } from '../measure/server.ts';
import { round } from '../results/statistics.ts';
import type { Suite } from '../suite.ts';

/** Multiples of `--events`, which is a million by default. */
const SIZES = [0.5, 1, 2, 4, 8];
const PROMISED_SPREAD_PERCENT = 15;
const PROMISED_MEMORY_MB = 350;

interface Result {
  readonly events: number;
  readonly seconds: number;
  readonly secondsAMillion: number;
  readonly peakMemoryMb: number;
  readonly delayP99Ms: number;
  readonly merges: number;
}

export const suite: Suite = {
  name: 'scale',
  title: 'From half a million events to eight',
  byDefault: false,
  promisedAt: 1_000_000,
  run: async (context) => {
    const server = await BenchServer.start(context.folder, { tuned: context.options.tuned });
    const results: Result[] = [];
    try {
      for (const size of SIZES) {
        const events = Math.round(size * context.options.events);
        const run = await runJobOnce(context, { server, events, source: { eventsLimit: 0 }, flags: [] });
        const result = {
          events,
          seconds: run.seconds,
          secondsAMillion: (run.seconds / events) * 1e6,
          peakMemoryMb: run.peakMemoryMb,
          delayP99Ms: run.eventLoopDelayMs?.p99 ?? 0,
          merges: run.merges,
        };
        results.push(result);
        context.say(`${events}: ${run.seconds.toFixed(2)} s, ${run.peakMemoryMb.toFixed(0)} MB`);
      }
    } finally {
      await server.stop();
    }
    return present(results);
  },
};

function present(results: readonly Result[]) {
  const each = results.map(({ secondsAMillion }) => secondsAMillion);
  const middle = (Math.max(...each) + Math.min(...each)) / 2;
  const spread = ((Math.max(...each) - middle) / middle) * 100;
  const peak = Math.max(...results.map(({ peakMemoryMb }) => peakMemoryMb));
  return {
    tables: [
      {
        title: 'One run each',
        columns: ['events', 'seconds', 'seconds a million', 'peak MB', 'delay p99 ms', 'merges'],
        rows: results.map((result) => [
          result.events,
          round(result.seconds),
          round(result.secondsAMillion),
          Math.round(result.peakMemoryMb),
          round(result.delayP99Ms),
          result.merges,
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
        what: 'time a million events, largest and smallest from their middle',
        target: `± ${PROMISED_SPREAD_PERCENT} %`,
        measured: `± ${round(spread, 1)} %`,
        holds: spread <= PROMISED_SPREAD_PERCENT,
      },
      {
        what: 'peak memory, at every size',
        target: `≤ ${PROMISED_MEMORY_MB} MB`,
        measured: `${Math.round(peak)} MB`,
        holds: peak <= PROMISED_MEMORY_MB,
      },
    ],
    raw: results,
  };
}
