/** `show-log`: the job's log, JSON lines from stdin, for people. run-ingestion.sh shows it, and ends as it ends. */
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { z } from 'zod';
import { EXIT_CODES, type ExitCode } from '../core/errors.ts';
import { readableLines } from '../core/logging.ts';
import { whole } from '../watch/page/texts.js';

/** The last line of a job that failed; with `url` the one of a job that has ended and goes on serving its page. */
const ended = z.object({ exit_code: z.literal(Object.values(EXIT_CODES)), url: z.string().optional() });
const completed = z.object({
  inserted: z.number(),
  updated: z.number(),
  duplicates: z.number(),
  rejected: z.number(),
  repaired: z.number(),
  proof_text: z.string(),
});

/** Returns the exit code that the log says last; 1 when it breaks off before. */
export function showLog(): Promise<ExitCode> {
  return readLog(process.stdin, process.stdout);
}

/** Reads to the end of `log`, or to the line of a job that has ended and goes on serving: no other line follows it. */
export async function readLog(log: Readable, output: Writable): Promise<ExitCode> {
  const readable = readableLines();
  let code: ExitCode = EXIT_CODES.unexpected;
  for await (const line of createInterface({ input: log })) {
    output.write(line.startsWith('{') ? readable(line) : `${line}\n`);
    const fields = fieldsOf(line);
    const complete = completed.safeParse(fields);
    if (complete.success) output.write(summary(complete.data));
    const end = ended.safeParse(fields);
    if (!end.success) continue;
    code = end.data.exit_code;
    if (end.data.url !== undefined) break;
  }
  return code;
}

function summary(run: z.infer<typeof completed>): string {
  return (
    `\nComplete: ${whole(run.inserted)} events inserted, ${whole(run.updated)} updated, ${whole(run.duplicates)} duplicates, ` +
    `${whole(run.rejected)} rejected, ${whole(run.repaired)} repaired.\n  proof: ${run.proof_text}\n\n`
  );
}

function fieldsOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
