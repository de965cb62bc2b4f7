/** What the words about a record must keep together, so that each value has one place, and the table can hold it. */
import type { Description } from './description.ts';
import { problem, warning, type Finding } from './finding.ts';
import { isSamePath, isWithin } from './kinds.ts';

/** Every table of PostgreSQL has them. */
const SYSTEM_COLUMNS = ['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid'];
/** Their values are in order as PostgreSQL has them: a text "10" would be older than "9". */
const VERSION_TYPES: readonly string[] = ['bigint', 'numeric', 'timestamptz'];

/** The newer of two records is told by a column of the table. */
function versionFindings({ version, time, columns }: Description): Finding[] {
  if (version === undefined) return [];
  const shown = Object.entries(columns).find(([, { path }]) => isSamePath(path, version));
  const types = VERSION_TYPES.join(', ');
  if (shown === undefined) {
    // The time of a record has a column, whatever is said.
    if (time !== undefined && isSamePath(version, time.path)) return [];
    return [
      problem(['version'], `this value must be in columns, as one of ${types}: by it the newer of two records is told`),
    ];
  }
  const [name, { type }] = shown;
  if (VERSION_TYPES.includes(type)) return [];
  return [
    problem(['columns', name, 'type'], `expected one of ${types}: by this value the newer of two records is told`),
  ];
}

export function recordFindings(description: Description): Finding[] {
  const { id, version, time, columns } = description;
  const found = versionFindings(description);
  if (id === undefined) {
    found.push(warning(['records'], 'without id, equal records are one row, and a record that changes is another row'));
    if (version !== undefined)
      found.push(problem(['version'], 'version needs id: it says which of two records is newer'));
  }
  const entries = Object.entries(columns);
  for (const [index, [name, { path, type }]] of entries.entries()) {
    if (SYSTEM_COLUMNS.includes(name)) {
      found.push(problem(['columns', name], `PostgreSQL has a column ${name} of its own: use another name`));
    }
    if (['extra', 'ingested_at', 'source_order'].includes(name)) {
      found.push(problem(['columns', name], `the program has a column ${name} of its own: use another name`));
    }
    if (name === 'id' && (id === undefined || !isSamePath(path, id))) {
      found.push(
        problem(
          ['columns', name],
          'the column id is the key of the table: it can hold what id names, and nothing else',
        ),
      );
    } else if (name === 'id' && !['text', 'uuid', 'bigint'].includes(type)) {
      found.push(problem(['columns', name, 'type'], 'expected text, uuid or bigint for the key of the table'));
    }
    const isTime = time !== undefined && isSamePath(path, time.path);
    if (name !== 'id' && id !== undefined && isSamePath(path, id) && !isTime) {
      found.push(problem(['columns', name, 'path'], 'this value is the key of the table, in its column id already'));
    }
    if (isTime && name !== 'id' && type !== 'timestamptz') {
      found.push(problem(['columns', name, 'type'], 'expected timestamptz: this is the time of a record'));
    }
    const inside = entries
      .slice(0, index)
      .find(([, other]) => isWithin(path, other.path) || isWithin(other.path, path));
    if (inside !== undefined) {
      found.push(problem(['columns', name, 'path'], `this value is in the column ${inside[0]} already`));
    }
  }
  return found;
}
