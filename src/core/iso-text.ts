/** A moment as log lines and reports show it: epoch milliseconds → ISO 8601 in UTC. */
export function isoText(ms: number): string;
export function isoText(ms: number | null): string | null;
export function isoText(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
