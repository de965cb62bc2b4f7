/** How a later merge grows with the table. */
import { join } from 'node:path';
import { rm } from 'node:fs/promises';
import { startScript } from '../measure/processes.ts';
import { BenchServer } from '../measure/server.ts';
import { sizeReportSchema, type MergeAtSize } from '../measure/size-report.ts';
import { Source } from '../measure/source.ts';
import { round } from '../results/statistics.ts';
import type { Suite } from '../suite.ts';

/** Multiples of `--events`, which is a million by default. */
const SIZES = [3, 20, 50];
/** What is merged, as parts of a million of `--events`: three times 500,000. */
const MERGED_SHARE = 1.5;
const PARTITIONS = 16;

interface Measured extends MergeAtSize {
  readonly rows: number;
  readonly layout: string;
}

export const suite: Suite = {
  name: 'size',
  title: 'A later merge into tables of 3, 20 and 50 million rows',
  byDefault: false,
  run: async (context) => {
    const { events, tuned } = context.options;
    const server = await BenchServer.start(context.folder, { tuned });
    const source = await Source.start({ events: Math.round(events * MERGED_SHARE), eventsLimit: 0 });
    const file = join(context.folder, 'batches');
    try {
      context.say('encoding beforehand');
      await startScript('bench/programs/encode-beforehand.ts', [source.baseUrl, file]).succeeded();
    } finally {
      await source.stop();
    }
    const measured: Measured[] = [];
    try {
      for (const size of SIZES) {
        for (const partitions of [0, PARTITIONS]) {
          const rows = size * events;
          const layout = partitions === 0 ? 'one table' : `${partitions} hash partitions`;
          context.say(`filling ${rows} rows, ${layout}`);
          const merges = await server.withDatabase(async (url) => {
            const args = [url, file, String(rows), String(partitions)];
            const { lines } = await startScript('bench/programs/merge-at-size.ts', args).succeeded();
            const found = lines.map((line) => sizeReportSchema.safeParse(line)).find(({ success }) => success);
            if (found?.data === undefined) throw new Error('the program ended without its report');
            return found.data.merges;
          });
          for (const merge of merges) {
            measured.push({ ...merge, rows, layout });
            context.say(`${rows} rows, ${layout}, ${merge.way}: ${merge.seconds.toFixed(2)} s`);
          }
        }
      }
    } finally {
      await rm(file, { force: true });
      await server.stop();
    }
    return {
      tables: [
        {
          title: `${Math.round(events / 2)} events with random ids, one run each`,
          columns: ['rows before', 'table', 'merged', 'seconds', 'events/s', 'WAL MB', 'key MB'],
          rows: measured.map(({ rows, layout, way, events: merged, seconds, walMb, keyMb }) => [
            ...[rows, layout, way, round(seconds), Math.round(merged / seconds)],
            ...[Math.round(walMb), Math.round(keyMb)],
          ]),
          note: 'BEGIN to COMMIT, without the COPY into staging. WAL: all that was written meanwhile, COPY beside it writes none.',
        },
      ],
      charts: [],
      checks: [],
      raw: measured,
    };
  },
};
