/** Numbers as people read them, the same in every place that people watch. */

const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** `1,234,567` */
export function wholeText(value: number): string {
  return WHOLE.format(value);
}

/** `980`, `12.3k`, `1.24M`: where there is little room. */
export function shortText(value: number): string {
  if (value < 1_000) return String(Math.round(value));
  if (value < 999_500) return `${value < 99_950 ? (value / 1_000).toFixed(1) : Math.round(value / 1_000)}k`;
  return `${(value / 1_000_000).toFixed(2)}M`;
}

/** Never rounds up to 100 %: that is for what is complete. */
export function percentText(ratio: number): string {
  return `${(Math.floor(ratio * 1000) / 10).toFixed(ratio === 1 ? 0 : 1)} %`;
}

/** `42 s`, `3 min 20 s`, `1 h 05 min` */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** `12.3 MiB` */
export function bytesText(bytes: number): string {
  if (bytes < 1_024) return `${bytes} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes / 1_024;
  let unit = 0;
  while (value >= 1_023.95 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${value.toFixed(1)} ${units[unit] ?? ''}`;
}
