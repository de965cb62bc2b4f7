/** Reads /metrics by a parser that is not ours. */
import parsePrometheusTextFormat from 'parse-prometheus-text-format';
import { z } from 'zod';

const number = z.string().transform(Number);
const scrape = z.array(
  z.object({
    name: z.string(),
    help: z.string(),
    type: z.enum(['COUNTER', 'GAUGE', 'HISTOGRAM']),
    metrics: z.array(
      z.object({
        value: number.optional(),
        count: number.optional(),
        sum: number.optional(),
        labels: z.record(z.string(), z.string()).optional(),
      }),
    ),
  }),
);

export type Scrape = z.infer<typeof scrape>;

export function parseScrape(text: string): Scrape {
  return scrape.parse(parsePrometheusTextFormat(text));
}

/** The value of a metric with these labels; `undefined` when it has none. */
export function valueOf(scraped: Scrape, name: string, labels: Record<string, string> = {}): number | undefined {
  const family = scraped.find((candidate) => candidate.name === name);
  return family?.metrics.find((metric) =>
    Object.entries(labels).every(([label, value]) => metric.labels?.[label] === value),
  )?.value;
}
