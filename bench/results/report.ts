/** Writes `bench/results/report.html`: one file that loads nothing else, with charts as SVG. */
import { writeFile } from 'node:fs/promises';
import { verdictOf, type BarChart, type Table } from './result.ts';
import type { KeptResult } from './results-file.ts';

const FILE = new URL('report.html', import.meta.url);
const COLOURS = ['#2563eb', '#d97706', '#059669', '#7c3aed', '#dc2626', '#0891b2', '#64748b'];
const LABEL_WIDTH = 150;
const BAR_WIDTH = 560;
const BAR_HEIGHT = 22;
const ROW_HEIGHT = 32;
const VALUE_WIDTH = 110;

const STYLE = `
:root { color-scheme: light dark; --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; margin: .5rem 0; font-variant-numeric: tabular-nums; }
th, td { border: 1px solid var(--line); padding: .25rem .6rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.note, .when { opacity: .75; font-size: .9em; }
.scroll { overflow-x: auto; }
.short { color: #dc2626; font-weight: 600; }
.holds { color: #059669; }
svg { max-width: 100%; height: auto; }
svg text { fill: currentColor; font: 13px system-ui, sans-serif; }
.legend span { display: inline-block; margin-right: 1rem; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; border-radius: 2px; }`;

export async function writeReport(results: readonly KeptResult[]): Promise<void> {
  await writeFile(FILE, reportHtml(results));
}

export function reportHtml(results: readonly KeptResult[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>DataSync ingestion: benchmark</title>
<style>${STYLE}</style>
</head>
<body>
<h1>DataSync ingestion: benchmark</h1>
<p>Made by <code>npm run bench</code>. What each suite measures, and what was tried: <code>bench/README.md</code>.</p>
${results.map(suiteHtml).join('\n')}
</body>
</html>
`;
}

function suiteHtml(result: KeptResult): string {
  const { machine } = result;
  return `<h2 id="${escape(result.suite)}">${escape(result.suite)}: ${escape(result.title)}</h2>
<p class="when">${escape(result.startedAt)}, ${result.seconds} s, on ${escape(machine.processor)}, ${machine.cores} cores, ${machine.memoryGb} GB,
${escape(machine.system)}, node ${escape(machine.node)}; load ${result.loadBefore} when it began.</p>
${checksHtml(result)}
${result.charts.map(chartHtml).join('\n')}
${result.tables.map(tableHtml).join('\n')}`;
}

function checksHtml({ checks }: KeptResult): string {
  if (checks.length === 0) return '';
  const rows = checks.map(
    (check) =>
      `<tr><td>${escape(check.what)}</td><td>${escape(check.target)}</td><td>${escape(check.measured)}</td>` +
      `<td class="${check.holds === false ? 'short' : 'holds'}">${verdictOf(check)}</td></tr>`,
  );
  return `<table><tr><th>promise</th><th>target</th><th>measured</th><th></th></tr>${rows.join('')}</table>`;
}

function tableHtml({ title, columns, rows, note }: Table): string {
  const head = columns.map((column) => `<th>${escape(column)}</th>`).join('');
  const body = rows.map((row) => `<tr>${row.map((cell) => `<td>${escape(String(cell ?? '–'))}</td>`).join('')}</tr>`);
  const below = note === undefined ? '' : `<p class="note">${escape(note)}</p>`;
  return `<h3>${escape(title)}</h3><div class="scroll"><table><tr>${head}</tr>${body.join('')}</table></div>${below}`;
}

function chartHtml({ title, unit, bars }: BarChart): string {
  const totals = bars.map(({ parts }) => parts.reduce((sum, { value }) => sum + value, 0));
  const largest = Math.max(...totals, Number.MIN_VALUE);
  const names = [...new Set(bars.flatMap(({ parts }) => parts.map(({ name }) => name)))];
  const colourOf = (name: string): string => COLOURS[names.indexOf(name) % COLOURS.length] ?? '#64748b';
  const rows = bars.map(({ label, parts }, index) => {
    const y = index * ROW_HEIGHT;
    let x = LABEL_WIDTH;
    const drawn = parts.map(({ name, value }) => {
      const width = (value / largest) * BAR_WIDTH;
      const rect = `<rect x="${x.toFixed(1)}" y="${y + 5}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" fill="${colourOf(name)}"><title>${escape(name)}: ${value} ${escape(unit)}</title></rect>`;
      x += width;
      return rect;
    });
    const total = Number((totals[index] ?? 0).toFixed(2));
    return (
      `<text x="${LABEL_WIDTH - 8}" y="${y + 21}" text-anchor="end">${escape(label)}</text>${drawn.join('')}` +
      `<text x="${(x + 8).toFixed(1)}" y="${y + 21}">${total} ${escape(unit)}</text>`
    );
  });
  const legend =
    names.length < 2
      ? ''
      : `<p class="legend">${names.map((name) => `<span><i style="background:${colourOf(name)}"></i>${escape(name)}</span>`).join('')}</p>`;
  const width = LABEL_WIDTH + BAR_WIDTH + VALUE_WIDTH;
  return `<h3>${escape(title)}</h3>${legend}<svg role="img" aria-label="${escape(title)}" width="${width}" height="${bars.length * ROW_HEIGHT + 8}" viewBox="0 0 ${width} ${bars.length * ROW_HEIGHT + 8}">${rows.join('')}</svg>`;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
