/**
 * Where people read: stdout and stderr. A place that cannot be written to any more (a full disk, a pipe without a reader, a closed
 * terminal) costs what would stand there and ends nothing: that is said once, on the other one.
 */
import { closeSync, writeSync } from 'node:fs';
import { isatty } from 'node:tty';

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const BUSY_MS = 10;
const saidLost = new Set<number>();

/** Call it before anything is written: an error of a stream without a listener ends the process. */
export function surviveLostOutput(): void {
  process.stdout.on('error', (error) => {
    sayLost(STDOUT, error);
  });
  process.stderr.on('error', (error) => {
    sayLost(STDERR, error);
  });
  const terminals = [STDIN, STDOUT, STDERR].filter((fd) => isatty(fd));
  process.on('exit', () => {
    // Node aborts, with code 134, where it cannot restore a terminal that was closed.
    for (const fd of terminals) if (!isatty(fd)) closeSync(fd);
  });
}

/** Synchronous: the reason of a failure is out before the process ends (pinojs/pino#2054), also where a pipe is full. */
export function writeToStdout(text: string): void {
  try {
    writeAll(STDOUT, text);
  } catch (error) {
    sayLost(STDOUT, error);
  }
}

function sayLost(lost: number, error: unknown): void {
  if (saidLost.has(lost)) return;
  saidLost.add(lost);
  const [name, left] = lost === STDOUT ? ['stdout', STDERR] : ['stderr', STDOUT];
  const why = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  try {
    writeAll(left, `${name} cannot be written to any more (${why}); the work goes on without it\n`);
  } catch {
    // Both are lost, and nobody is there to be told.
  }
}

function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
      // A pipe whose reader is slow.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS);
    }
  }
}
