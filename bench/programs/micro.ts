/**
 * Usage: micro.ts <base URL> <way>. Reads the same pages again and again in one way, on one thread. Writes the median of a
 * page's milliseconds after a warm-up.
 */
import { z } from 'zod';
import { encodePage } from '../../src/encode/encode-page.ts';
import { scanPage } from '../../src/encode/scan/page-scanner.ts';
import { ID_COLUMN_TYPES, pagesOf } from '../measure/batches.ts';
import { median } from '../results/statistics.ts';
import { encodeObjects } from './object-encoder.ts';

const WARM_UP_MS = 1_500;
const MEASURE_MS = 4_000;
const MAX_EVENT_BYTES = 16 * 2 ** 20;

const spare = new ArrayBuffer(8 * 2 ** 20);
const ways: Readonly<Record<string, (body: Uint8Array) => unknown>> = {
  scan: (body) => scanPage(body, { event: () => undefined, broken: () => undefined, restart: () => undefined }),
  'scan and encode': (body) =>
    encodePage(body, { idColumnTypes: ID_COLUMN_TYPES, firstSourceOrder: 1n, maxEventBytes: MAX_EVENT_BYTES }, spare),
  'JSON.parse': (body) =>
    z.unknown().parse(JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))),
  'JSON.parse and encode': (body) => encodeObjects(body, 1n),
};

const [baseUrl, name = ''] = process.argv.slice(2);
const way = ways[name];
if (baseUrl === undefined || way === undefined)
  throw new Error(`usage: micro.ts <base URL> ${Object.keys(ways).join('|')}`);
const pages: Uint8Array[] = [];
for await (const body of pagesOf(baseUrl)) pages.push(body);

run(WARM_UP_MS);
const milliseconds = run(MEASURE_MS);
const bytes = pages.reduce((sum, page) => sum + page.byteLength, 0) / pages.length;
process.stdout.write(
  `${JSON.stringify({ way: name, pageMs: median(milliseconds), pageBytes: bytes, pages: milliseconds.length })}\n`,
);

function run(forMs: number): number[] {
  const times: number[] = [];
  const endMs = performance.now() + forMs;
  while (performance.now() < endMs) {
    for (const page of pages) {
      const startedMs = performance.now();
      way?.(page);
      times.push(performance.now() - startedMs);
    }
  }
  return times;
}
