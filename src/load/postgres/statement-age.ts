/** How long a statement had worked when the server refused it: a timeout shows by refusals at one and the same age. */
import type { PoolClient } from 'pg';

const agesMs = new WeakMap<Error, number>();

/** Follows the statements of a connection, one after another, until the result is called. */
export function timeStatements({ connection }: PoolClient): () => void {
  let sinceMs = performance.now();
  const onReady = (): void => {
    sinceMs = performance.now();
  };
  const onError = (error: Error): void => {
    agesMs.set(error, performance.now() - sinceMs);
  };
  connection.on('readyForQuery', onReady).on('errorMessage', onError);
  return () => {
    connection.off('readyForQuery', onReady).off('errorMessage', onError);
  };
}

/** Age of the statement that ended with this error; `null` when it was not followed. */
export function statementAgeMs(error: unknown): number | null {
  return error instanceof Error ? (agesMs.get(error) ?? null) : null;
}
