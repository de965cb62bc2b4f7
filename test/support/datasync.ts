/** The source that jobs are of unless they are told another: the first one in every database. */
import { tableOf, targetNamed, type Source } from '../../src/load/schema/source.ts';
import type { ClaimOptions } from '../../src/load/state/owner.ts';

export const DATASYNC: Source = {
  sourceId: 1,
  name: 'datasync',
  target: targetNamed(tableOf('datasync'), { described: 'a test' }),
};

/** What a claim of a source needs in a database where its tables are made. */
export function ofSource(source: Source): Pick<ClaimOptions, 'name' | 'prepare'> {
  return { name: source.name, prepare: () => Promise.resolve(source) };
}
