/** All ids of a source's table as text, one a line, in one snapshot and with flat memory. */
import { Transform, type TransformCallback, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { to as copyTo } from 'pg-copy-streams';
import { ConfigurationError } from '../core/errors.ts';
import { sqlStateOf } from './postgres/database-errors.ts';
import type { Database } from './postgres/database.ts';
import type { Target } from './schema/source.ts';

const BACKSLASH = 0x5c;
const LINE_FEED = 0x0a;
const UNDEFINED_TABLE = '42P01';
/** The characters that COPY's text format escapes, but for line breaks. */
const ESCAPED: Readonly<Record<string, string>> = { b: '\b', f: '\f', t: '\t', v: '\v', '\\': '\\' };
/**
 * What COPY has escaped. Backslashes before a line break, or before what would look like one that is written as two characters,
 * stay doubled: so every line is of one id alone.
 */
const ESCAPES = /((?:\\\\)+)(?=\\?[nr])|\\(.)/gs;

export interface ExportedIds {
  readonly ids: number;
  /** Ids with a line break, or with backslashes before `n` or `r`: written with `\n`, `\r` and `\\`, so that each id is one line. */
  readonly escaped: number;
}

/**
 * Writes every id, in no particular order, to `destination`, and ends it.
 * @throws ConfigurationError when there is no table of events; the destination's own errors; the signal's reason.
 */
export async function exportIds(
  db: Database,
  target: Target,
  destination: Writable,
  signal?: AbortSignal,
): Promise<ExportedIds> {
  const lines = new IdLines();
  try {
    await db.withExportClient(async (client) => {
      const rows = client.query(copyTo(`COPY (SELECT id FROM ${target.sql}) TO STDOUT`));
      await pipeline(rows, lines, destination, signal === undefined ? {} : { signal });
      // The stream ends before the server has confirmed the COPY. Only the answer to a later statement proves it.
      await client.query('SELECT');
      if (rows.rowCount !== lines.ids) {
        throw new Error(`PostgreSQL sent ${rows.rowCount} ids and ${lines.ids} were written`);
      }
    });
  } catch (error) {
    if (sqlStateOf(error) !== UNDEFINED_TABLE) throw error;
    throw new ConfigurationError(`${target.described} is not there yet: run npm start first`, { cause: error });
  }
  return { ids: lines.ids, escaped: lines.escaped };
}

/** COPY's text format to plain lines. Chunks without an escape, as those of UUIDs, pass unchanged. */
class IdLines extends Transform {
  ids = 0;
  escaped = 0;
  /** What follows the last line break of chunks with escapes: an escape must not be cut in two. */
  #unfinished: Buffer | null = null;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.ids += countLines(chunk);
    if (this.#unfinished === null && !chunk.includes(BACKSLASH)) {
      done(null, chunk);
      return;
    }
    const text = this.#unfinished === null ? chunk : Buffer.concat([this.#unfinished, chunk]);
    const end = text.lastIndexOf(LINE_FEED) + 1;
    this.#unfinished = end === text.length ? null : text.subarray(end);
    done(null, this.#unescape(text.subarray(0, end)));
  }

  override _flush(done: TransformCallback): void {
    done(null, this.#unfinished === null ? null : this.#unescape(this.#unfinished));
  }

  #unescape(lines: Buffer): Buffer {
    // latin1 maps bytes to characters and back one to one.
    const plain = lines
      .toString('latin1')
      .split('\n')
      .map((line) => this.#unescapeLine(line));
    return Buffer.from(plain.join('\n'), 'latin1');
  }

  #unescapeLine(line: string): string {
    let kept = 0;
    const id = line.replace(ESCAPES, (escape, _backslashes, character?: string) => {
      const plain = character === undefined ? undefined : ESCAPED[character];
      if (plain === undefined) kept += 1;
      return plain ?? escape;
    });
    if (kept > 0) this.escaped += 1;
    return id;
  }
}

function countLines(chunk: Buffer): number {
  let lines = 0;
  for (let at = chunk.indexOf(LINE_FEED); at !== -1; at = chunk.indexOf(LINE_FEED, at + 1)) lines += 1;
  return lines;
}
