/**
 * Signals. The first SIGINT or SIGTERM drains; the same again within a second is the same signal, because npm and the
 * terminal both deliver it; a later one ends the process at once, which is safe at any moment.
 */
import { EXIT_CODES, type ExitCode } from '../../core/errors.ts';

export type StopSignal = 'SIGINT' | 'SIGTERM';

const SAME_SIGNAL_MS = 1_000;
/** A stopped process is gone after ten seconds: this, and the time to say so. */
const DRAIN_LIMIT_MS = 9_500;

export function exitCodeOfSignal(signal: StopSignal): ExitCode {
  return signal === 'SIGINT' ? EXIT_CODES.interrupted : EXIT_CODES.terminated;
}

export interface ShutdownHandlers {
  /** The first signal: drain. */
  readonly drain: (signal: StopSignal) => void;
  /** A second one, or draining took too long: end now. Does not return. */
  readonly force: (signal: StopSignal, why: 'second signal' | 'too slow') => void;
}

/** Listens until disposed. Returns how to stop listening. */
export function listenForSignals(handlers: ShutdownHandlers): () => void {
  let first: { signal: StopSignal; atMs: number } | null = null;
  let limit: NodeJS.Timeout | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signal !== 'SIGINT' && signal !== 'SIGTERM') return;
    if (first === null) {
      first = { signal, atMs: performance.now() };
      limit = setTimeout(() => {
        handlers.force(signal, 'too slow');
      }, DRAIN_LIMIT_MS);
      limit.unref();
      handlers.drain(signal);
    } else if (performance.now() - first.atMs > SAME_SIGNAL_MS) {
      handlers.force(first.signal, 'second signal');
    }
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return () => {
    clearTimeout(limit);
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  };
}
