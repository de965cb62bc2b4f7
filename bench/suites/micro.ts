/** Scanner and encoder alone, on one thread, each in a fresh process. */
import { z } from 'zod';
import { startScript } from '../measure/processes.ts';
import { Source } from '../measure/source.ts';
import { median, round } from '../results/statistics.ts';
import type { Suite } from '../suite.ts';

const PAGE_EVENTS = 5_000;
const PAGES = 20;
const WAYS = ['scan', 'scan and encode', 'JSON.parse', 'JSON.parse and encode'] as const;
const PROMISED_RATIO = 2.5;
const PROMISED_MB_A_SECOND = 350;

const resultSchema = z.object({ way: z.enum(WAYS), pageMs: z.number(), pageBytes: z.number() });
type Result = z.output<typeof resultSchema>;

export const suite: Suite = {
  name: 'micro',
  title: 'Scanner and encoder on one thread',
  byDefault: true,
  run: async ({ options, say }) => {
    const source = await Source.start({ events: PAGES * PAGE_EVENTS, eventsLimit: 0 });
    const results: Result[] = [];
    try {
      for (let number = 1; number <= options.rounds; number += 1) {
        for (const way of WAYS) {
          const { lines } = await startScript('bench/programs/micro.ts', [source.baseUrl, way]).succeeded();
          const result = resultSchema.parse(lines.at(-1));
          results.push(result);
          say(`${way}: ${result.pageMs.toFixed(2)} ms a page`);
        }
      }
    } finally {
      await source.stop();
    }
    return present(results);
  },
};

function present(results: readonly Result[]) {
  const bytes = results[0]?.pageBytes ?? 0;
  const pageMs = (way: (typeof WAYS)[number]): number =>
    median(results.filter((result) => result.way === way).map((result) => result.pageMs));
  const mbASecond = (way: (typeof WAYS)[number]): number => bytes / pageMs(way) / 1000;
  const ratio = pageMs('JSON.parse and encode') / pageMs('scan and encode');
  return {
    tables: [
      {
        title: `A page of ${PAGE_EVENTS} events, ${Math.round(bytes / 1000)} kB`,
        columns: ['way', 'ms a page', 'MB/s', 'events/s'],
        rows: WAYS.map((way) => [
          way,
          round(pageMs(way)),
          Math.round(mbASecond(way)),
          Math.round((PAGE_EVENTS / pageMs(way)) * 1000),
        ]),
        note: 'Medians over pages, and of rounds. `scan` finds every event and reads its members; `scan and encode` is what a worker does with a page. JSON.parse includes making a string of the bytes. On a busy machine all four are slower, so compare the ratio.',
      },
    ],
    charts: [
      {
        title: 'Milliseconds a page',
        unit: 'ms',
        bars: WAYS.map((way) => ({ label: way, parts: [{ name: 'page', value: round(pageMs(way)) }] })),
      },
    ],
    checks: [
      {
        what: 'JSON.parse and encode ÷ scan and encode',
        target: `≥ ${PROMISED_RATIO}`,
        measured: String(round(ratio)),
        holds: ratio >= PROMISED_RATIO,
      },
      {
        what: 'scan and encode, one thread',
        target: `≥ ${PROMISED_MB_A_SECOND} MB/s`,
        measured: `${Math.round(mbASecond('scan and encode'))} MB/s`,
        holds: mbASecond('scan and encode') >= PROMISED_MB_A_SECOND,
      },
    ],
    raw: results,
  };
}
