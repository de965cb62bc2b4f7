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
const FRAMES_PER_SECOND = 5;

export interface TerminalDisplay {
  /** For `createLogging`: puts finished lines above the bar, and lets them wrap as the terminal likes. */
  readonly write: (line: string) => void;
  /** Draws from now on; `write` works before. */
  start(snapshot: () => JobSnapshot): void;
  /** Clears the bar; `write` works after. */
  stop(): void;
}

export interface ProgressOptions {
  readonly snapshot: () => JobSnapshot;
  readonly logger: Logger;
  readonly stdout: WriteStream;
  /** Made before the logger, so that log lines go through it; `null` when stdout is not a terminal. */
  readonly display: TerminalDisplay | null;
  /** Between two log lines where there is no terminal. */
  readonly logEveryMs?: number;
}

export interface Progress {
  /** Takes the display away; in a terminal leaves the summary of a job that had begun to fetch. */
  stop(): void;
}

/** The display for this stdout; `null` when it is no terminal, or one that cannot move its cursor. */
export function createTerminalDisplay(stdout: WriteStream, term?: string): TerminalDisplay | null {
  return stdout.isTTY && term !== 'dumb' ? new BarDisplay(stdout) : null;
}

export function startProgress({ snapshot, logger, stdout, display, logEveryMs }: ProgressOptions): Progress {
  if (display !== null) {
    display.start(snapshot);
    return {
      stop() {
        display.stop();
        const ended = snapshot();
        if (ended.fetchedPages > 0) stdout.write(`${summaryTable(ended, Date.now(), stdout.columns)}\n`);
      },
    };
  }
  const rates = new RateMeter();
  const observing = setInterval(() => rates.observe(snapshot(), Date.now()), 1_000).unref();
  const logging = setInterval(() => {
    logProgress(logger, snapshot(), rates, Date.now());
  }, logEveryMs ?? LOG_EVERY_MS).unref();
  return {
    stop() {
      clearInterval(observing);
      clearInterval(logging);
    },
  };
}

function logProgress(logger: Logger, snapshot: JobSnapshot, rates: RateMeter, nowMs: number): void {
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

class BarDisplay implements TerminalDisplay {
  readonly #stdout: WriteStream;
  readonly #rates = new RateMeter();
  #bars: MultiBar | null = null;

  constructor(stdout: WriteStream) {
    this.#stdout = stdout;
  }

  readonly write = (line: string): void => {
    if (this.#bars === null) {
      this.#stdout.write(line);
      return;
    }
    this.#bars.log(line.endsWith('\n') ? line : `${line}\n`);
    // At once: the line may be the reason why the process is about to die.
    this.#bars.update();
  };

  start(snapshot: () => JobSnapshot): void {
    // MultiBar for one bar: SingleBar saves the cursor's place when it starts and goes back there when it stops, which after
    // log lines is somewhere inside them.
    const bars = new MultiBar({
      stream: this.#stdout,
      format: () => {
        const nowMs = Date.now();
        const state = snapshot();
        return progressLine(state, this.#rates.observe(state, nowMs), nowMs, this.#stdout.columns);
      },
      fps: FRAMES_PER_SECOND,
      clearOnComplete: true,
      // A line is never wider than the terminal; wrapping stays on for log lines, and after a SIGKILL.
      linewrap: true,
      hideCursor: false,
      gracefulExit: false,
      forceRedraw: true,
    });
    // The cursor waits at the beginning of the line: when the terminal gets narrower, some wrap the line and some do not, and there
    // it is in both at the first of what is to be cleared, and below the log.
    bars.on('redraw-post', () => {
      cursorTo(this.#stdout, 0);
    });
    bars.create(1, 0);
    this.#bars = bars;
    this.#stdout.on('resize', this.#resize);
    // Whoever ends the process without a word must not leave half a line to the shell.
    process.once('exit', this.#onExit);
    bars.update();
  }

  stop(): void {
    this.#stdout.off('resize', this.#resize);
    process.off('exit', this.#onExit);
    this.#bars?.stop();
    this.#bars = null;
  }

  readonly #onExit = (): void => {
    this.stop();
  };

  readonly #resize = (): void => {
    cursorTo(this.#stdout, 0);
    clearScreenDown(this.#stdout);
    this.#bars?.update();
  };
}
