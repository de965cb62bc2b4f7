/** Charts over time. Series differ in colour and in dash; the key of every chart has its latest figures as text. */
import uPlot from '/vendor/uPlot.js';
import { age, clock, short, span } from './texts.js';

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * @param {string} id
 * @param {{ label: string, colour: string, dash?: number[], fill?: boolean }[]} series
 * @param {(value: number) => string} text of a value
 * @param {number} atLeast what the upright axis reaches at least: the marks of a shorter one would all read alike
 * @param {{ bars?: boolean, steps?: number[] }} [options] `steps` of the upright axis
 */
function timeChart(id, series, text, atLeast, options = {}) {
  const box = document.getElementById(id);
  let plot = null;
  let data = [[], ...series.map(() => [])];

  const size = () => ({ width: box.clientWidth, height: Math.max(80, box.clientHeight) });
  const values = keyOf(box, series);
  /** Shows beside each name its value where the pointer is, else the latest. */
  const showKey = () => {
    const pointed = plot?.cursor.idx;
    series.forEach((_, index) => {
      const column = data[index + 1];
      const value = pointed == null ? column.findLast((one) => one !== null) : column[pointed];
      values[index].textContent = typeof value === 'number' ? text(value) : '–';
    });
  };
  const build = () => {
    plot?.destroy();
    const axis = {
      stroke: colour('--quiet'),
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { show: false },
      font: '11px system-ui, sans-serif',
    };
    plot = new uPlot(
      {
        ...size(),
        // On the right there must be room for half of the last label.
        padding: [8, 26, 0, 0],
        cursor: { points: { size: 6 }, y: false, drag: { x: false, y: false } },
        legend: { show: false },
        hooks: { setCursor: [showKey] },
        scales: {
          x: { time: true, range: options.bars ? aroundBars : fromFirst },
          y: { range: (_, __, max) => [0, Math.max(max * 1.08, atLeast)] },
        },
        axes: [
          {
            ...axis,
            space: 80,
            incrs: WHOLE_SECONDS,
            size: 24,
            grid: { show: false },
            values: (_, ticks) => ticks.map((tick) => clock(tick * 1000)),
          },
          {
            ...axis,
            size: 48,
            space: 36,
            ...(options.steps && { incrs: options.steps }),
            values: (_, ticks) => ticks.map((tick) => text(tick)),
          },
        ],
        series: [
          {},
          ...series.map((one) => ({
            label: one.label,
            stroke: colour(one.colour),
            width: options.bars ? 0 : 2,
            ...(one.dash && { dash: one.dash }),
            ...(one.fill && { fill: options.bars ? colour(one.colour) : `${colour(one.colour)}1f` }),
            ...(options.bars && { paths: uPlot.paths.bars?.({ size: [0.6, 26, 2] }) }),
            points: { show: false },
          })),
        ],
      },
      data,
      box,
    );
  };
  build();
  new ResizeObserver(() => plot?.setSize(size())).observe(box);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', build);
  return {
    /** @param {(number | null)[][]} next a list of times in seconds, then one of values for each series */
    show(next) {
      data = next;
      plot?.setData(next);
      showKey();
    },
  };
}

/** Steps of the time axis. */
const WHOLE_SECONDS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400,
];
const SHORTEST_SECONDS = 10;

/**
 * From the first value to the last. uPlot's own range would be a day around a single value, and 1970 without one.
 * @returns {[number, number]}
 */
function fromFirst({ data: [times] }) {
  const now = Date.now() / 1000;
  const from = times[0] ?? now - SHORTEST_SECONDS;
  return [from, Math.max(from + SHORTEST_SECONDS, times.at(-1) ?? now)];
}

/** Leaves room for half a bar at both ends. */
function aroundBars(plot) {
  const [from, to] = fromFirst(plot);
  const room = Math.max(5, (to - from) * 0.08);
  return [from - room, to + room];
}

/** Makes the key above a chart; answers the elements that show the values. */
function keyOf(box, series) {
  const values = series.map(() => html('b'));
  const items = series.map((one, index) => {
    const line = html('span', `stroke ${one.dash === undefined ? 'solid' : one.dash[0] > 3 ? 'dashed' : 'dotted'}`);
    line.style.setProperty('--stroke', `var(${one.colour})`);
    return html('li', '', line, one.label, values[index]);
  });
  box.before(html('ul', 'key', ...items));
  return values;
}

/** A new element. @param {string} tag @param {string} className @param {(Node | string)[]} content */
export function html(tag, className = '', ...content) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...content);
  return made;
}

export const throughputChart = () =>
  timeChart(
    'throughput-chart',
    [
      { label: 'fetched', colour: '--blue', fill: true },
      { label: 'loaded', colour: '--orange', dash: [7, 4] },
      { label: 'merged', colour: '--green', dash: [2, 3] },
    ],
    short,
    100,
  );

export const latencyChart = () =>
  timeChart(
    'latency-chart',
    [
      { label: 'half are faster', colour: '--blue', fill: true },
      { label: '95 % are faster', colour: '--orange', dash: [7, 4] },
    ],
    span,
    0.001,
  );

/** How old the newest event is. */
export const lagChart = () =>
  timeChart('lag-chart', [{ label: 'newest event', colour: '--blue', fill: true }], age, 60, {
    steps: [...WHOLE_SECONDS, 172_800, 432_000, 864_000, 2_592_000, 8_640_000, 31_536_000, 157_680_000],
  });

export const newEventsChart = () =>
  timeChart('new-events-chart', [{ label: 'new events', colour: '--green', fill: true }], short, 10);

export const mergesChart = () =>
  timeChart('merges-chart', [{ label: 'events', colour: '--green', fill: true }], short, 100, { bars: true });

/**
 * Totals → events a second. Fetching and loading are averaged over three rows. A merge takes in at once what has gathered
 * since the merge before it, and is spread over that time.
 * @param {(number | null)[][]} rows at, fetched, copied, merged …
 */
export function throughput(rows) {
  const times = rows.map((row) => Number(row[0]) / 1000);
  const column = (at) => rows.map((row) => Number(row[at]));
  const smooth = (totals) =>
    totals.map((total, index) => {
      const from = Math.max(0, index - 3);
      const seconds = times[index] - times[from];
      return seconds > 0 ? Math.max(0, (total - totals[from]) / seconds) : null;
    });
  const merged = column(3);
  const spread = merged.map(() => null);
  let since = 0;
  for (let index = 1; index < merged.length; index += 1) {
    if (merged[index] <= merged[index - 1]) continue;
    const rate = (merged[index] - merged[since]) / (times[index] - times[since]);
    spread.fill(rate, since + (since > 0 ? 1 : 0), index + 1);
    since = index;
  }
  return [times, smooth(column(1)), smooth(column(2)), spread];
}
