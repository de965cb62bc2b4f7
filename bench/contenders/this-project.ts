import { z } from 'zod';
import type { Contender, ContenderInput, Measurement } from '../contender.ts';
import { RunningProgram, type JsonLine, type ProgramEnd } from '../measure/processes.ts';
import type { LogEntry } from '../measure/source.ts';

/** The job's default, see DB_CONNECTIONS. */
export const JOB_CONNECTIONS = 4;

const figuresSchema = z.object({
  msg: z.literal('process figures'),
  cpu_user_seconds: z.number(),
  cpu_system_seconds: z.number(),
  peak_memory_mb: z.number(),
  event_loop_delay_ms: z.object({ p50: z.number(), p99: z.number(), max: z.number() }),
  busy_seconds: z.record(z.string(), z.number()),
});
// At level info, because the merge itself logs the same message at debug.
const mergedSchema = z.object({
  level: z.literal('info'),
  msg: z.literal('merged'),
  time: z.string(),
  seconds: z.number(),
});
const completeSchema = z.object({ msg: z.literal('ingestion complete'), events: z.number(), inserted: z.number() });

/** One run of the job, with everything that its log and the source tell of it. */
export interface JobRun extends Measurement {
  readonly inserted: number;
  /** Events served, including those served twice. */
  readonly served: number;
  readonly pages: readonly LogEntry[];
  readonly merges: number;
  /** From the first request to the end of the last merge. */
  readonly mergedSeconds: number;
  /** The job's log. */
  readonly lines: readonly JsonLine[];
}

/** Runs `npm start`, as a person does. */
export async function runJob(
  input: Pick<ContenderInput, 'databaseUrl' | 'source' | 'folder'>,
  flags: readonly string[] = [],
  onLine?: (line: string) => void,
): Promise<JobRun> {
  const { source, databaseUrl, folder } = input;
  const before = await source.requestCount();
  const program = new RunningProgram(['npm', 'start', '--silent', ...(flags.length > 0 ? ['--', ...flags] : [])], {
    env: {
      API_BASE_URL: source.baseUrl,
      TARGET_API_KEY: 'bench',
      DATABASE_URL: databaseUrl,
      DATA_DIR: folder,
      LOG_FORMAT: 'json',
      LOG_LEVEL: 'debug',
    },
    ...(onLine === undefined ? {} : { onLine }),
  });
  const end = await program.succeeded();
  return describeRun(end, await source.requestsSince(before));
}

function describeRun(end: ProgramEnd, requests: readonly LogEntry[]): JobRun {
  const figures = find(end.lines, figuresSchema);
  const complete = find(end.lines, completeSchema);
  const merges = end.lines.flatMap((line) => {
    const parsed = mergedSchema.safeParse(line);
    return parsed.success ? [parsed.data] : [];
  });
  const pages = requests.filter(({ kind }) => kind === 'stream' || kind === 'events');
  const firstMs = Math.min(...requests.map(({ atMs }) => atMs));
  const lastMerge = merges.at(-1);
  if (lastMerge === undefined) throw new Error('the job merged nothing');
  const mergedMs = Date.parse(lastMerge.time);
  const seconds = (end.endedAtMs - firstMs) / 1000;
  const rest = (end.endedAtMs - mergedMs) / 1000;
  const merge = merges.reduce((sum, { seconds: each }) => sum + each, 0);
  return {
    seconds,
    startSeconds: (firstMs - end.startedAtMs) / 1000,
    stages: { 'fetch, encode, copy': Math.max(0, seconds - merge - rest), merge, 'analyze and end': rest },
    busy: figures.busy_seconds,
    cpuSeconds: { user: figures.cpu_user_seconds, system: figures.cpu_system_seconds },
    peakMemoryMb: figures.peak_memory_mb,
    eventLoopDelayMs: figures.event_loop_delay_ms,
    requests: requests.length,
    inserted: complete.inserted,
    served: complete.events,
    pages,
    merges: merges.length,
    mergedSeconds: (mergedMs - firstMs) / 1000,
    lines: end.lines,
  };
}

function find<T>(lines: readonly JsonLine[], schema: z.ZodType<T>): T {
  for (const line of lines) {
    const parsed = schema.safeParse(line);
    if (parsed.success) return parsed.data;
  }
  throw new Error(`the job did not log the line the benchmark reads:\n${JSON.stringify(lines.slice(-5))}`);
}

/** For a contender's table: without the run's details. */
export const contender: Contender = {
  name: 'this project',
  what: '`npm start`, its own process, from the simulator',
  place: 1,
  everyRound: true,
  run: (input) => runJob(input),
};
