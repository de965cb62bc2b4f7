/** Quoting, in one place: nothing else puts a name or a text into SQL by hand. */
import pg from 'pg';

/** `name` as an SQL identifier, always quoted. */
export function quoteIdentifier(name: string): string {
  return pg.escapeIdentifier(name);
}

/** `text` as an SQL literal, for the statements that take no parameters (SET, COMMENT, several statements at once). */
export function quoteLiteral(text: string): string {
  return pg.escapeLiteral(text);
}

/** A list of columns, quoted, each prefixed with `alias.` when one is given. */
export function columnList(columns: readonly string[], alias?: string): string {
  const prefix = alias === undefined ? '' : `${alias}.`;
  return columns.map((column) => prefix + quoteIdentifier(column)).join(', ');
}
