/** The source that jobs are of unless they are told another: the first one in every database. */
import { tableOf, targetNamed, type Source } from '../../src/load/schema/source.ts';

export const DATASYNC: Source = {
  sourceId: 1,
  name: 'datasync',
  target: targetNamed(tableOf('datasync'), { described: 'a test' }),
};

/** What a claim of it needs in a database whose tables are made. */
export const OF_DATASYNC = { name: DATASYNC.name, prepare: () => Promise.resolve(DATASYNC) } as const;
