/** A moment as log lines and reports show it: epoch milliseconds → ISO 8601 in UTC; what JavaScript has no date for, as it is. */
export function isoText(ms: number): string;
export function isoText(ms: number | null): string | null;
export function isoText(ms: number | null): string | null {
  if (ms === null) return null;
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? `${ms} ms` : date.toISOString();
}
