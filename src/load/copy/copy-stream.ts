/**
 * One COPY … FROM STDIN over a pooled connection: few large chunks, back-pressure respected, `finish` is the end, and a
 * watchdog, because a connection that dies inside a COPY can wait for a `drain` that never comes.
 */
import type { PoolClient } from 'pg';
import { from } from 'pg-copy-streams';
import { NoProgressError } from '../postgres/database-errors.ts';

/** Large, since each chunk costs two socket writes; small enough that progress shows on a slow link. */
const CHUNK_BYTES = 256 * 1024;

/**
 * Sends a complete binary COPY stream. Does not keep or change `rows`.
 * @returns the server's own count of rows, to be compared with what was meant: a cut stream is no error to PostgreSQL.
 * @throws the server's error; NoProgressError when no chunk was taken for `watchdogMs`. After the former the connection
 *   is in order again (within its failed transaction), after the latter it must be thrown away.
 */
export async function copyRows(client: PoolClient, sql: string, rows: Uint8Array, watchdogMs: number): Promise<number> {
  const stream = client.query(from(sql, { highWaterMark: CHUNK_BYTES }));
  return new Promise((resolve, reject) => {
    const watchdog = setTimeout(() => {
      reject(new NoProgressError('a COPY', watchdogMs));
    }, watchdogMs);
    stream.on('error', (error) => {
      clearTimeout(watchdog);
      // Inside this listener the stream still has its connection; afterwards a late `drain` would make it write to
      // nothing and throw where nobody can catch it. The CopyFail this sends is ignored by the server.
      stream.destroy();
      reject(error);
    });
    stream.on('finish', () => {
      clearTimeout(watchdog);
      resolve(stream.rowCount);
    });
    let offset = 0;
    const writeOn = (): void => {
      while (offset < rows.byteLength) {
        const bytes = Math.min(CHUNK_BYTES, rows.byteLength - offset);
        const chunk = Buffer.from(rows.buffer, rows.byteOffset + offset, bytes);
        offset += bytes;
        const roomLeft = stream.write(chunk, () => watchdog.refresh());
        if (!roomLeft) {
          stream.once('drain', writeOn);
          return;
        }
      }
      stream.end();
    };
    writeOn();
  });
}

/** Fails when `work`, a few short statements, does not end in time: the connection must then be thrown away. */
export async function withinWatchdog<T>(what: string, watchdogMs: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const watchdog = setTimeout(() => {
      reject(new NoProgressError(what, watchdogMs));
    }, watchdogMs);
    work.then(resolve, reject).finally(() => {
      clearTimeout(watchdog);
    });
  });
}
