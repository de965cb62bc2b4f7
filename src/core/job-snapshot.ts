/**
 * What watchers see of a job: one plain object, made when somebody asks. Terminal, metrics, health and live page read
 * nothing else, so that a slow or dead viewer cannot touch the job.
 */
import { NO_COUNTS, type Proof, type ProofKind, type RunCounts } from './state.ts';

export const JOB_PHASES = [
  // Another process works on the source: see --wait.
  'standby',
  'starting',
  'loading',
  'merging',
  'verifying',
  'following',
  'stopping',
  'ended',
] as const;

export type JobPhase = (typeof JOB_PHASES)[number];

export interface WindowSnapshot {
  readonly windowId: number;
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
  /** It is walked from `sinceMs` up, and not from `untilMs` down. */
  readonly isOldestFirst: boolean;
  /** How far it has been walked (asked and answered), epoch ms. */
  readonly walkedToMs: number | null;
  /** How far it is safe (merged), epoch ms. */
  readonly safeToMs: number | null;
  readonly pages: number;
  readonly complete: boolean;
  /** The window it was split from. */
  readonly splitFrom: number | null;
}

export interface MergeRecord {
  /** When it ended, epoch ms. */
  readonly atMs: number;
  readonly seconds: number;
  readonly events: number;
}

/** What there is to see of a job that follows; times are epoch ms. */
export interface FollowSnapshot {
  /** The newest event that is believed, `null` where times do not tell. */
  readonly newestEventMs: number | null;
  /** Lag above which it is degraded, ms; `null`: none. */
  readonly maxLagMs: number | null;
  readonly looks: number;
  readonly nextLookMs: number;
  /** When something new was last taken by this process. */
  readonly lastTakenMs: number | null;
  readonly takenEvents: number;
  readonly lastProof: { readonly kind: ProofKind; readonly atMs: number } | null;
  /** The exit code with which the last run that was to prove something would have ended, and why; `null` when it is proven. */
  readonly unproven: { readonly exitCode: number; readonly reason: string } | null;
  /** Since when it waits for the API or the database, and why. */
  readonly away: { readonly sinceMs: number; readonly reason: string } | null;
}

export const NOT_FOLLOWED_YET: FollowSnapshot = Object.freeze({
  newestEventMs: null,
  maxLagMs: null,
  looks: 0,
  nextLookMs: 0,
  lastTakenMs: null,
  takenEvents: 0,
  lastProof: null,
  unproven: null,
  away: null,
});

/** How old the newest event is, ms; `null` where nobody knows. */
export function lagMs({ follow }: Pick<JobSnapshot, 'follow'>, nowMs: number): number | null {
  const newestMs = follow?.newestEventMs ?? null;
  return newestMs === null ? null : Math.max(0, nowMs - newestMs);
}

export interface JobSnapshot {
  readonly phase: JobPhase;
  readonly source: string;
  /** What a run of a described source promises, in a few words each; `null`: no description names it. */
  readonly card: Readonly<Record<string, string>> | null;
  readonly endpoint: 'stream' | 'events' | null;
  readonly runId: number | null;
  readonly pass: number;
  readonly startedAtMs: number;
  /** The last time anything moved: a page came, a batch was copied, a merge ended. */
  readonly lastProgressMs: number;
  /** Events that the API says the data set has; null when it does not say. */
  readonly totalEvents: number | null;
  /** Merged events of the run, all its starts together. */
  readonly counts: RunCounts;
  /** By what the run is proven complete; `null` while it is not finished. */
  readonly proof: Proof | null;
  // From here on: of this process alone.
  readonly fetchedEvents: number;
  readonly fetchedPages: number;
  readonly fetchedBytes: number;
  readonly copiedEvents: number;
  readonly mergedEvents: number;
  readonly requests: number;
  readonly pagesInFlight: number;
  readonly bytesInFlight: number;
  readonly maxBytesInFlight: number;
  readonly encodeQueue: number;
  readonly copyQueue: number;
  readonly stagedRows: number;
  /** What it waits for now: "rate limit", "database", …; null when it does not wait. */
  readonly waiting: { readonly reason: string; readonly untilMs: number | null; readonly askedByApi: boolean } | null;
  readonly retriesByKind: Readonly<Record<string, number>>;
  readonly rateLimited: number;
  readonly anomaliesByReason: Readonly<Record<string, number>>;
  readonly merges: number;
  /** The last sixty, oldest first. */
  readonly lastMerges: readonly MergeRecord[];
  /** Where the time axis ends: the newest event seen, at first the one that the run has stored; epoch ms. */
  readonly newestEventMs: number | null;
  readonly windows: readonly WindowSnapshot[];
  /** `null` before the first run of `--follow` is over, and without it. */
  readonly follow: FollowSnapshot | null;
  /** Set when the job has ended: its exit code, the reason that the last line of the log gives, and when; epoch ms. */
  readonly ended: { readonly exitCode: number; readonly reason: string; readonly atMs: number } | null;
}

/** What there is to see before there is a job. */
export function snapshotBeforeJob(startedAtMs: number): JobSnapshot {
  return {
    phase: 'starting',
    source: '',
    card: null,
    endpoint: null,
    runId: null,
    pass: 1,
    startedAtMs,
    lastProgressMs: startedAtMs,
    totalEvents: null,
    counts: NO_COUNTS,
    proof: null,
    fetchedEvents: 0,
    fetchedPages: 0,
    fetchedBytes: 0,
    copiedEvents: 0,
    mergedEvents: 0,
    requests: 0,
    pagesInFlight: 0,
    bytesInFlight: 0,
    maxBytesInFlight: 0,
    encodeQueue: 0,
    copyQueue: 0,
    stagedRows: 0,
    waiting: null,
    retriesByKind: {},
    rateLimited: 0,
    anomaliesByReason: {},
    merges: 0,
    lastMerges: [],
    newestEventMs: null,
    windows: [],
    follow: null,
    ended: null,
  };
}

/** What the stages of a job report as it happens. Durations are seconds. */
export interface JobObserver {
  /** One request to the API; `status` is `null` when no answer came. */
  readonly pageRequest?: (seconds: number, endpoint: string, status: number | null) => void;
  readonly encode?: (seconds: number) => void;
  readonly copy?: (seconds: number) => void;
  readonly merge?: (seconds: number, isInitialMerge: boolean) => void;
  /** A request waited this long for its turn. */
  readonly rateLimitWait?: (seconds: number) => void;
}
