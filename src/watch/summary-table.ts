/** The last thing that a person at a terminal sees of a run: its counts, its time, its anomalies. */
import Table from 'cli-table3';
import type { JobSnapshot } from '../core/job-snapshot.ts';
import { bytes, duration, proofText, whole } from './page/texts.js';

/** @param columns width of the terminal; no line is longer, values wrap inside their column */
export function summaryTable(snapshot: JobSnapshot, columns: number): string {
  const { counts, ended } = snapshot;
  const seconds = Math.max(0.001, ((ended?.atMs ?? Date.now()) - snapshot.startedAtMs) / 1000);
  const retries = Object.values(snapshot.retriesByKind).reduce((sum, count) => sum + count, 0);
  const rows: [string, string][] = [
    ['ended', endText(ended)],
    ['proven', proofText(snapshot.proof)],
    ['events expected', snapshot.totalEvents === null ? 'not known' : whole(snapshot.totalEvents)],
    ['served and merged', whole(counts.served)],
    ['inserted', whole(counts.inserted)],
    ['updated', whole(counts.updated)],
    ['duplicates', whole(counts.duplicates)],
    ['rejected', whole(counts.rejected)],
    ['repaired', whole(counts.repaired)],
    ['time', duration(seconds)],
    ['throughput', `${whole(snapshot.copiedEvents / seconds)} events/s`],
    ['pages', `${whole(snapshot.fetchedPages)} (${bytes(snapshot.fetchedBytes)})`],
    ['requests', `${whole(snapshot.requests)}, ${whole(retries)} retries, ${whole(snapshot.rateLimited)} of 429`],
    ['merges', whole(snapshot.merges)],
  ];
  for (const [reason, count] of Object.entries(snapshot.anomaliesByReason)) {
    rows.push([`anomaly: ${reason}`, whole(count)]);
  }
  const nameWidth = Math.min(Math.max(...rows.map(([name]) => name.length)) + 2, Math.max(10, Math.floor(columns / 2)));
  const valueWidth = Math.max(...rows.map(([, value]) => value.length)) + 2;
  const table = new Table({
    style: { head: [], border: [] },
    // No line between rows: all of it fits a small terminal.
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
    // Three border characters a row.
    colWidths: [nameWidth, Math.max(10, Math.min(valueWidth, columns - nameWidth - 3))],
    wordWrap: true,
    wrapOnWordBoundary: false,
  });
  table.push(...rows);
  return table.toString();
}

/** The reason is the last line of the log, below the table. */
function endText(ended: JobSnapshot['ended']): string {
  if (ended === null) return 'not yet';
  return ended.exitCode === 0 ? 'complete' : `with exit code ${ended.exitCode}`;
}
