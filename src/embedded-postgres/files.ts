/** Questions to the file system that several files here ask. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';

/** @throws when the path cannot be looked at: that is not an answer. */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return false;
    throw error;
  }
}

/** Whether the error carries that code: an errno or an SQLSTATE. */
export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/** Makes a name for a folder from a path, or from anything else that it belongs to. */
export function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
