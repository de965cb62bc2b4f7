/**
 * A position is where a walk goes on: one text, which the ledger keeps as the cursor of a page. A token, an address, a value of
 * the last record and a count are written as they are. A key with a count among the records of this key is a JSON list of both.
 */
import { z } from 'zod';

export interface KeyAndCount {
  readonly key: string;
  readonly count: number;
}

const pair = z.tuple([z.string(), z.int()]);

export function writeKeyAndCount({ key, count }: KeyAndCount): string {
  return JSON.stringify([key, count]);
}

/** @throws Error for a position that was not written by {@link writeKeyAndCount}: no other is ever stored */
export function readKeyAndCount(position: string): KeyAndCount {
  const [key, count] = pair.parse(JSON.parse(position));
  return { key, count };
}
