/**
 * Progress for whoever started the job. In a terminal: one line that stays under the log, fitted to the width. Anywhere
 * else: one log line every ten seconds.
 */
import { clearScreenDown, cursorTo } from 'node:readline';
import type { WriteStream } from 'node:tty';
import { MultiBar } from 'cli-progress';
import type { JobSnapshot } from '../core/job-snapshot.ts';
import type { Logger } from '../core/logging.ts';
import { eventsDone, progressRatio, RateMeter } from './progress-estimate.ts';
import { progressLine, waitingText } from './progress-line.ts';
import { summaryTable } from './summary-table.ts';

const LOG_EVERY_MS = 10_000;
const OBSERVE_EVERY_MS = 1_000;
const FRAMES_PER_SECOND = 5;

export interface ProgressOptions {
  readonly snapshot: () => JobSnapshot;
  readonly logger: Logger;
  /** Made before the logger, so that log lines go through it; `null` when stdout is not a terminal. */
  readonly display: TerminalDisplay | null;
  /** Time between two log lines where there is no terminal. */
  readonly logEveryMs?: number;
}

/** The display for this stdout; `null` when it is not a terminal, or one that cannot move its cursor. */
export function createTerminalDisplay(stdout: WriteStream, term?: string): TerminalDisplay | null {
  return stdout.isTTY && term !== 'dumb' ? new TerminalDisplay(stdout) : null;
}

/** Returns what stops it: in a terminal, that leaves the summary of a job that had begun to fetch. */
export function startProgress({ snapshot, logger, display, logEveryMs }: ProgressOptions): () => void {
  if (display !== null) {
    display.start(snapshot);
    return () => {
      display.stop();
      const ended = snapshot();
      if (ended.fetchedPages > 0) display.write(`${summaryTable(ended, display.columns)}\n`);
    };
  }
  const rates = new RateMeter();
  const observing = setInterval(() => rates.observe(snapshot(), Date.now()), OBSERVE_EVERY_MS).unref();
  const logging = setInterval(() => {
    logProgress(logger, snapshot(), rates, Date.now());
  }, logEveryMs ?? LOG_EVERY_MS).unref();
  return () => {
    clearInterval(observing);
    clearInterval(logging);
  };
}

function logProgress(logger: Logger, snapshot: JobSnapshot, rates: RateMeter, nowMs: number): void {
  // Nothing has happened: what happens has lines of its own.
  if (snapshot.phase === 'following' || snapshot.phase === 'standby') return;
  const { now, average, etaSeconds } = rates.observe(snapshot, nowMs);
  const ratio = progressRatio(snapshot);
  logger.info(
    {
      phase: snapshot.phase,
      events: eventsDone(snapshot),
      total_events: snapshot.totalEvents,
      percent: ratio === null ? null : Math.floor(ratio * 1000) / 10,
      events_per_second: Math.round(now),
      average_events_per_second: Math.round(average),
      eta_seconds: etaSeconds === null ? null : Math.round(etaSeconds),
      pages_in_flight: snapshot.pagesInFlight,
      waiting: waitingText(snapshot, nowMs),
      anomalies: snapshot.counts.rejected + snapshot.counts.repaired,
    },
    'progress',
  );
}

export class TerminalDisplay {
  readonly #stdout: WriteStream;
  readonly #rates = new RateMeter();
  #bars: MultiBar | null = null;

  constructor(stdout: WriteStream) {
    this.#stdout = stdout;
  }

  get columns(): number {
    return this.#stdout.columns;
  }

  /** For `createLogging`: puts finished lines above the bar, where the terminal may wrap them. Works before and after the bar too. */
  readonly write = (line: string): void => {
    if (this.#bars === null) {
      this.#stdout.write(line);
      return;
    }
    this.#bars.log(line);
    // At once: the line may be the reason why the process is about to die.
    this.#bars.update();
  };

  /** Draws the bar from now on. */
  start(snapshot: () => JobSnapshot): void {
    // MultiBar for one bar: SingleBar saves the cursor's place when it starts and goes back there when it stops. By then
    // that place is somewhere inside the log lines.
    const bars = new MultiBar({
      stream: this.#stdout,
      format: () => {
        const nowMs = Date.now();
        const state = snapshot();
        return progressLine(state, this.#rates.observe(state, nowMs), nowMs, this.columns);
      },
      fps: FRAMES_PER_SECOND,
      clearOnComplete: true,
      // The bar is never wider than the terminal; log lines need wrapping, and so does the shell after a SIGKILL.
      linewrap: true,
      hideCursor: false,
      gracefulExit: false,
      forceRedraw: true,
    });
    // The cursor waits at the beginning of the line. When the terminal gets narrower, some terminals wrap the line and
    // some do not; in both the cursor then stands where clearing must begin, below the log.
    bars.on('redraw-post', () => {
      cursorTo(this.#stdout, 0);
    });
    bars.create(1, 0);
    this.#bars = bars;
    this.#stdout.on('resize', this.#resize);
    // A process that ends without calling stop() must not leave half a line to the shell.
    process.once('exit', this.stop);
    bars.update();
  }

  /** Clears the bar. */
  readonly stop = (): void => {
    this.#stdout.off('resize', this.#resize);
    process.off('exit', this.stop);
    this.#bars?.stop();
    this.#bars = null;
  };

  readonly #resize = (): void => {
    cursorTo(this.#stdout, 0);
    clearScreenDown(this.#stdout);
    this.#bars?.update();
  };
}
