/** Numbers and times as people read them: one file for the terminal, and for the browser, which gets it as it is. */

const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** `1,234,567` @param {number} value */
export const whole = (value) => WHOLE.format(value);

/** `980`, `12.3k`, `1.24M`: where there is little room. @param {number} value */
export function short(value) {
  if (value < 1_000) return String(Math.round(value));
  if (value < 999_500) return `${value < 99_950 ? (value / 1_000).toFixed(1) : Math.round(value / 1_000)}k`;
  return `${(value / 1_000_000).toFixed(value < 9_995_000 ? 2 : 1)}M`;
}

/** Never rounds up to 100 %: that is for what is complete. @param {number} ratio */
export const percent = (ratio) => `${(Math.floor(ratio * 1000) / 10).toFixed(ratio === 1 ? 0 : 1)} %`;

/** `42 s`, `3 min 20 s`, `1 h 05 min` @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** `45 s`, `12 min`, `3.5 h`, `4 d`: where there is little room. @param {number} seconds */
export function age(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  const [value, unit] = seconds < 172_800 ? [seconds / 3_600, 'h'] : [seconds / 86_400, 'd'];
  return `${Number(value.toFixed(1))} ${unit}`;
}

/** A short piece of work: `4.2 ms`, `250 ms`, `1.50 s` @param {number} seconds */
export function span(seconds) {
  if (seconds < 0.0995) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 60 ? `${seconds.toFixed(2)} s` : duration(seconds);
}

/** `12.3 MiB` @param {number} count */
export function bytes(count) {
  let value = count;
  // The next unit from where this one would round to 1024.0.
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (value < 1_023.95) return unit === 'B' ? `${count} B` : `${value.toFixed(1)} ${unit}`;
    value /= 1_024;
  }
  return `${value.toFixed(1)} TiB`;
}

const PROVEN_BY = { count: "by the API's count", 'api-end': "by the API's own end", none: 'not proven' };

/**
 * By what a run is proven complete, in one sentence.
 * @param {{ readonly kind: 'count' | 'api-end' | 'none', readonly sentence: string } | null} proof
 */
export const proofText = (proof) =>
  proof === null ? 'not proven' : `${PROVEN_BY[proof.kind]}: ${proof.sentence.replace(/\.$/, '')}`;

/** Times of the data set, in UTC like the data. @param {number | null} ms @param {string} unknown */
export function instant(ms, unknown = 'open') {
  return ms === null ? unknown : new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
}

/** Clock time where the viewer is. @param {number} ms */
export const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });
