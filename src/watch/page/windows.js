/**
 * The windows on the time axis of the data set. Each is walked from its newest event (right) to its oldest (left), or the other
 * way round where a list has its oldest record first. On top
 * stands a strip with all of them, below it a lane for each, the newest first. A window that splits gives its older end to
 * a new lane.
 */
import { instant, percent, whole } from './texts.js';

/**
 * @typedef {{ windowId: number, sinceMs: number | null, untilMs: number | null, isOldestFirst: boolean, walkedToMs: number | null,
 *   safeToMs: number | null, pages: number, complete: boolean, splitFrom: number | null }} WindowSnapshot
 */

const SVG = 'http://www.w3.org/2000/svg';
const STRIP = 26;
const MAX_LANES = 40;

function element(name, attributes = {}) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

/** By CSS, so that it can move smoothly; pixels. */
function place({ style }, x, y, width, height) {
  style.setProperty('x', `${x}px`);
  style.setProperty('y', `${y}px`);
  style.setProperty('width', `${Math.max(0, width)}px`);
  style.setProperty('height', `${height}px`);
}

export function windowsChart() {
  const box = document.getElementById('windows-chart');
  const svg = element('svg');
  const hatch = element('pattern', {
    id: 'hatch',
    width: 6,
    height: 6,
    patternUnits: 'userSpaceOnUse',
    patternTransform: 'rotate(45)',
  });
  hatch.append(element('path', { d: 'M1 0V6' }));
  const definitions = element('defs');
  definitions.append(hatch);
  const axis = element('g');
  const shapes = element('g');
  svg.append(definitions, axis, shapes);
  /** By key. */
  const drawn = new Map();
  let latest = [];
  let latestNewest = 0;
  let isRunComplete = false;

  const draw = () => {
    if (latest.length === 0) {
      svg.remove();
      drawn.clear();
      shapes.replaceChildren();
      return;
    }
    if (!svg.isConnected) box.append(svg);
    const range = rangeOf(latest, latestNewest);
    const width = Math.max(1, box.clientWidth);
    const x = (ms) => ((ms - range.from) / (range.to - range.from)) * width;
    const byTime = [...latest].sort(
      (a, b) => (b.untilMs ?? Infinity) - (a.untilMs ?? Infinity) || a.windowId - b.windowId,
    );
    // Of many windows only those that are still walked have a lane; the strip has all.
    const lanes = byTime.length <= MAX_LANES ? byTime : byTime.filter((one) => !one.complete).slice(0, MAX_LANES);
    const pitch = Math.max(6, Math.min(18, 260 / Math.max(1, lanes.length)));
    const height = STRIP + 10 + lanes.length * pitch + 22;
    svg.setAttribute('height', String(height));
    const seen = new Set();
    const put = (key, one, y, thick) => {
      seen.add(key);
      const until = x(one.untilMs ?? range.to);
      const since = x(one.sinceMs ?? range.from);
      const clamp = (ms) => Math.min(until, Math.max(since, x(ms)));
      const [begin, end] = one.isOldestFirst ? [since, until] : [until, since];
      const walked = one.complete ? end : one.walkedToMs === null ? begin : clamp(one.walkedToMs);
      const safe = isSafe(one, isRunComplete) ? walked : one.safeToMs === null ? begin : clamp(one.safeToMs);
      const own = drawn.get(key) ?? shape(key, shapes, drawn);
      own.update(one, {
        since,
        until,
        begin,
        end,
        walked,
        safe,
        y,
        thick,
      });
    };
    for (const one of byTime) put(`strip ${one.windowId}`, one, 0, STRIP);
    lanes.forEach((one, lane) => {
      put(`lane ${one.windowId}`, one, STRIP + 10 + lane * pitch, Math.max(4, pitch - 4));
    });
    for (const [key, own] of drawn) {
      if (seen.has(key)) continue;
      own.group.remove();
      drawn.delete(key);
    }
    drawAxis(axis, range, width, height);
  };
  new ResizeObserver(draw).observe(box);

  return {
    /** @param {WindowSnapshot[]} windows @param {number} newestMs of the newest event @param {boolean} isComplete of the run */
    show(windows, newestMs, isComplete) {
      isRunComplete = isComplete;
      latest = withUpperEnds(windows);
      latestNewest = newestMs;
      draw();
    },
  };
}

/** One window in the strip or in its lane. @param {string} key `strip 7` or `lane 7` */
function shape(key, parent, drawn) {
  const group = element('g', { class: 'window' });
  const parts = ['open', 'walked', 'safe', 'edge'].map((name) =>
    element('rect', { class: name, rx: name === 'edge' ? 0 : 2 }),
  );
  const done = element('text', { class: 'done', 'text-anchor': 'middle' });
  const title = element('title');
  group.append(title, ...parts, done);
  parent.append(group);
  let isNew = true;
  const [open, walked, safe, edge] = parts;
  const own = {
    group,
    /** Where it was drawn last; a window that is split off it begins there. */
    at: null,
    /** @param {WindowSnapshot} one */
    update(one, at) {
      if (isNew) {
        isNew = false;
        const from = one.splitFrom === null ? null : drawn.get(`${key.split(' ')[0]} ${one.splitFrom}`)?.at;
        if (from) {
          // It begins where its parent is, and moves out of it.
          for (const part of parts) place(part, at.since, from.y, at.until - at.since, from.thick);
          void group.getBoundingClientRect();
        }
      }
      own.at = at;
      const gap = at.until - at.since > 4 ? 1 : 0;
      place(open, at.since, at.y, at.until - at.since - gap, at.thick);
      place(walked, Math.min(at.begin, at.walked), at.y, Math.abs(at.begin - at.walked) - gap, at.thick);
      place(safe, Math.min(at.begin, at.safe), at.y, Math.abs(at.begin - at.safe) - gap, at.thick);
      place(edge, at.walked - 1, at.y - 1, one.complete ? 0 : 2.5, at.thick + 2);
      done.textContent =
        one.complete && Math.abs(at.end - at.safe) <= 1 && at.until - at.since > 18 && at.thick > 8 ? '✓' : '';
      done.setAttribute('x', String((at.since + at.until) / 2));
      done.setAttribute('y', String(at.y + at.thick / 2 + 3.5));
      title.textContent = windowText(one);
    },
  };
  drawn.set(key, own);
  return own;
}

/**
 * A walk that was open to the present ends where a later catch-up begins: the catch-up takes what came after the walk, in
 * windows of its own. A window that was split off a walk lies below it and does not end it.
 * @param {WindowSnapshot[]} windows @returns {WindowSnapshot[]}
 */
function withUpperEnds(windows) {
  return windows.map((one) => {
    const fromMs = one.sinceMs ?? one.walkedToMs;
    if (one.untilMs !== null || fromMs === null) return one;
    const later = windows.flatMap(({ windowId, sinceMs }) =>
      windowId > one.windowId && sinceMs !== null && sinceMs >= fromMs ? [sinceMs] : [],
    );
    return later.length === 0 ? one : { ...one, untilMs: Math.min(...later) };
  });
}

/** @param {WindowSnapshot[]} windows @param {number} newestMs */
function rangeOf(windows, newestMs) {
  const known = windows.flatMap((one) => [one.sinceMs, one.untilMs, one.walkedToMs]).filter((ms) => ms !== null);
  let from = known.length === 0 ? newestMs - 86_400_000 : Math.min(...known);
  const to = windows.some((one) => one.untilMs === null) ? Math.max(newestMs, ...known) : Math.max(...known);
  // Beyond an open end lies something that is not known yet.
  if (windows.some((one) => one.sinceMs === null && !one.complete)) from -= (to - from) * 0.06;
  return { from: from < to ? from : to - 1, to };
}

function drawAxis(axis, range, width, height) {
  const count = Math.max(1, Math.min(6, Math.floor(width / 130)));
  const days = range.to - range.from > 2 * 86_400_000;
  axis.replaceChildren(
    ...Array.from({ length: count + 1 }, (_, index) => {
      const ratio = index / count;
      const at = ratio * width;
      const label = instant(range.from + ratio * (range.to - range.from));
      const text = element('text', {
        class: 'axis',
        x: at,
        y: height - 4,
        'text-anchor': index === 0 ? 'start' : index === count ? 'end' : 'middle',
      });
      text.textContent = days ? label.slice(0, 10) : label.slice(5, 16);
      const mark = element('g');
      mark.append(element('line', { class: 'tick', x1: at, x2: at, y1: 0, y2: height - 18 }), text);
      return mark;
    }),
  );
}

/**
 * All that was walked is merged. Compared with how far the window was walked, not with its end: its last event is younger.
 * @param {WindowSnapshot} one @param {boolean} isRunComplete
 */
const isSafe = (one, isRunComplete) =>
  isRunComplete ||
  (one.safeToMs !== null &&
    one.walkedToMs !== null &&
    (one.isOldestFirst ? one.safeToMs >= one.walkedToMs : one.safeToMs <= one.walkedToMs));

const stateText = (one) => (one.complete ? 'complete' : one.walkedToMs === null ? 'not begun' : 'being walked');

const windowText = (one) =>
  `Window ${one.windowId}: ${instant(one.sinceMs)} to ${instant(one.untilMs, 'now')}, ${stateText(one)}, ${whole(one.pages)} pages`;

/** What the drawing shows, in words. @param {WindowSnapshot[]} all @param {number} newestMs */
export function windowsText(all, newestMs) {
  if (all.length === 0) return 'No windows yet.';
  const windows = withUpperEnds(all);
  const complete = windows.filter((one) => one.complete).length;
  const range = rangeOf(windows, newestMs);
  let walked = 0;
  for (const one of windows) {
    const [since, until] = [one.sinceMs ?? range.from, one.untilMs ?? range.to];
    const [begin, end] = one.isOldestFirst ? [since, until] : [until, since];
    walked += Math.abs(begin - (one.complete ? end : (one.walkedToMs ?? begin)));
  }
  const isUpward = windows.some((one) => one.isOldestFirst);
  const split = windows.filter((one) => one.splitFrom !== null).length;
  const share = complete === windows.length ? 1 : Math.min(0.999, walked / (range.to - range.from));
  return (
    `${whole(windows.length)} ${windows.length === 1 ? 'window' : 'windows'}, ${whole(complete)} complete, ` +
    `${whole(split)} split off another; ${percent(share)} of the time from ${instant(range.from)} to ` +
    `${instant(range.to)} UTC is walked. Each is walked from ${isUpward ? 'left (oldest) to right' : 'right (newest) to left'}.`
  );
}

/** @param {WindowSnapshot[]} windows */
export function windowRows(windows) {
  return withUpperEnds(windows).map((one) => [
    `${one.windowId}${one.splitFrom === null ? '' : ` (of ${one.splitFrom})`}`,
    instant(one.sinceMs),
    instant(one.untilMs, 'now'),
    instant(one.complete ? (one.isOldestFirst ? one.untilMs : one.sinceMs) : one.walkedToMs, '–'),
    instant(one.safeToMs, '–'),
    whole(one.pages),
    stateText(one),
  ]);
}
