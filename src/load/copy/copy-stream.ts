/**
 * One COPY … FROM STDIN over a pooled connection: few large chunks, back-pressure respected, `finish` is the end. A watchdog
 * limits it, because a connection that dies inside a COPY can wait for a `drain` that never comes.
 */
import type { PoolClient } from 'pg';
import { from } from 'pg-copy-streams';
import { NoProgressError } from '../postgres/database-errors.ts';
import { startWatchdog, type Patience } from '../postgres/watchdog.ts';

/** Large, because each chunk costs two socket writes; small enough to show progress on a slow link. */
const CHUNK_BYTES = 256 * 1024;

/**
 * Sends a complete binary COPY stream. Does not keep or change `rows`.
 * @returns the server's own count of rows. Compare it with the intended one: a cut stream is not an error for PostgreSQL.
 * @throws the server's error, after which the connection can be used again (its transaction has failed); NoProgressError
 *   when the server took no chunk for too long, after which the connection must be thrown away.
 */
export async function copyRows(client: PoolClient, sql: string, rows: Uint8Array, patience: Patience): Promise<number> {
  const stream = client.query(from(sql, { highWaterMark: CHUNK_BYTES }));
  return new Promise((resolve, reject) => {
    const watchdog = startWatchdog(patience, () => {
      reject(new NoProgressError('a COPY', patience.ms));
    });
    stream.on('error', (error) => {
      clearTimeout(watchdog);
      // Inside this listener the stream still has its connection. Later, a late `drain` would make the stream write without
      // one and throw where nobody can catch it. The server ignores the CopyFail that this sends.
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
