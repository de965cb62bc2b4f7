/**
 * Signals. The first one drains; the same again within a second is the same signal, because npm and the terminal both
 * deliver it; a later one ends the process at once, which is safe at any moment.
 *
 * SIGHUP says that a terminal was closed. It stops only what shows itself in a terminal: what was started with `nohup`, as a
 * service or into a file goes on. Node undoes that `nohup` has the signal ignored, so the program must do that itself.
 */
import { EXIT_CODES, type ExitCode } from '../../core/errors.ts';

const EXIT_CODE_OF_SIGNAL = {
  SIGHUP: EXIT_CODES.hungUp,
  SIGINT: EXIT_CODES.interrupted,
  SIGTERM: EXIT_CODES.terminated,
} as const;

export type StopSignal = keyof typeof EXIT_CODE_OF_SIGNAL;

const SAME_SIGNAL_MS = 1_000;
/** A stopped process is gone after ten seconds: this, and the time to say so. */
const DRAIN_LIMIT_MS = 9_500;

export function exitCodeOfSignal(signal: StopSignal): ExitCode {
  return EXIT_CODE_OF_SIGNAL[signal];
}

export interface ShutdownHandlers {
  /** The first signal: drain. */
  readonly drain: (signal: StopSignal) => void;
  /** A second one, or draining took too long: end now. Does not return. */
  readonly force: (signal: StopSignal, why: 'second signal' | 'too slow') => void;
  /** A terminal was closed that the job does not write to: it goes on. */
  readonly hungUp: () => void;
}

/** Listens until disposed. Returns how to stop listening. */
export function listenForSignals({ drain, force, hungUp }: ShutdownHandlers): () => void {
  let first: { signal: StopSignal; atMs: number } | null = null;
  let limit: NodeJS.Timeout | undefined;
  const stopListening = onStopSignal((signal) => {
    if (first === null) {
      first = { signal, atMs: performance.now() };
      limit = setTimeout(() => {
        force(signal, 'too slow');
      }, DRAIN_LIMIT_MS);
      limit.unref();
      drain(signal);
    } else if (performance.now() - first.atMs > SAME_SIGNAL_MS) {
      force(first.signal, 'second signal');
    }
  }, hungUp);
  return () => {
    clearTimeout(limit);
    stopListening();
  };
}

/** For what only serves: there is nothing to drain. */
export function nextStopSignal(hungUp: () => void): Promise<StopSignal> {
  return new Promise((resolve) => {
    const stopListening = onStopSignal((signal) => {
      stopListening();
      resolve(signal);
    }, hungUp);
  });
}

function onStopSignal(stop: (signal: StopSignal) => void, hungUp: () => void): () => void {
  const listeners = {
    SIGHUP: () => {
      if (process.stdout.isTTY) stop('SIGHUP');
      else hungUp();
    },
    SIGINT: () => {
      stop('SIGINT');
    },
    SIGTERM: () => {
      stop('SIGTERM');
    },
  };
  for (const [signal, listener] of Object.entries(listeners)) process.on(signal, listener);
  return () => {
    for (const [signal, listener] of Object.entries(listeners)) process.off(signal, listener);
  };
}
