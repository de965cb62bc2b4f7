/** Every id of the target, one a line, streamed as PostgreSQL's COPY sends it: memory stays flat. */
import { Transform } from 'node:stream';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { to } from 'pg-copy-streams';
import type { Database } from './postgres.ts';
import { readTargetTypes, TARGET } from './schema/ingested-events.ts';

const BACKSLASH = 0x5c;

/**
 * Writes all ids and ends `writable`. An id is written as it is, except for a line feed or carriage return inside it,
 * which become `\n` and `\r`: one id is one line.
 * @returns how many there were.
 */
export async function exportIds(db: Database, writable: Writable): Promise<number> {
  const target = await readTargetTypes(db);
  return db.withCopyClient(async (client) => {
    const ids = client.query(to(`COPY (SELECT id FROM ${TARGET}) TO STDOUT`));
    if (target?.types.id === 'uuid') await pipeline(ids, writable);
    else await pipeline(ids, unescapeCopyText(), writable);
    return ids.rowCount;
  });
}

/** COPY's text format escapes backslashes and control characters; all but the two that would break a line are undone. */
export function unescapeCopyText(): Transform {
  let pending: Buffer | null = null;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const bytes: Buffer = pending === null ? chunk : Buffer.concat([pending, chunk]);
      pending = null;
      let escape = bytes.indexOf(BACKSLASH);
      if (escape < 0) {
        done(null, bytes);
        return;
      }
      const plain = Buffer.allocUnsafe(bytes.length);
      let read = 0;
      let written = 0;
      while (escape >= 0 && escape + 1 < bytes.length) {
        written += bytes.copy(plain, written, read, escape);
        const escaped = bytes[escape + 1] ?? BACKSLASH;
        const meant = COPY_ESCAPES.get(escaped);
        if (meant === undefined) plain[written++] = BACKSLASH;
        plain[written++] = meant ?? escaped;
        read = escape + 2;
        escape = bytes.indexOf(BACKSLASH, read);
      }
      // An escape that the chunk cuts in two waits for its second half.
      const end = escape < 0 ? bytes.length : escape;
      written += bytes.copy(plain, written, read, end);
      if (escape >= 0) pending = Buffer.from(bytes.subarray(escape));
      done(null, plain.subarray(0, written));
    },
    flush(done) {
      done(null, pending);
    },
  });
}

/** Second byte of an escape → the byte it stands for. `\n` and `\r` are not here: they stay escaped. */
const COPY_ESCAPES: ReadonlyMap<number, number> = new Map([
  [BACKSLASH, BACKSLASH],
  [0x62, 0x08], // \b
  [0x66, 0x0c], // \f
  [0x74, 0x09], // \t
  [0x76, 0x0b], // \v
]);
