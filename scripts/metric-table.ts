/** Every metric as a Markdown table, from the table that the registry is built from. */
import { METRICS, type MetricDescription } from '../src/watch/metrics/metric-table.ts';

export function metricTable(): string {
  const metrics: [string, MetricDescription][] = Object.entries(METRICS);
  const rows = metrics.map(([name, { type, labels, help }]) => {
    const shown = labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${type} | ${shown} | ${help} |`;
  });
  return ['| name | type | labels | what it is |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
