/** The table of `docs/metrics.md`, from the table that the registry is built from. */
import { METRICS } from '../src/watch/metrics/metric-table.ts';

export function metricsTable(): string {
  const rows = Object.entries(METRICS).map(([name, { type, labels, help }]) => {
    const labelTexts = labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${type} | ${labelTexts} | ${help} |`;
  });
  return ['| name | type | labels | what it is |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
