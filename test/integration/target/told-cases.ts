/** What the documents say beside the cases that are only data: each has a test of its own, in strangers.test.ts. */
export const TOLD_CASES = {
  reader: {
    what: 'a session that reads it all the time',
    outcome: 'loaded',
    firstLoad: 'keeps the key: it waits for nobody',
  },
  pointsToItself: {
    what: 'a foreign key to itself, whatever the order of the events',
    outcome: 'loaded',
    firstLoad: 'keeps the key: the foreign key needs it',
  },
  viewAtReset: { what: 'a view on it, at `--reset`', outcome: 'loaded', firstLoad: 'quick, after it was emptied' },
  otherUniqueKey: {
    what: 'a unique key on other columns: one event of each value has its row',
    outcome: 'set aside',
    reason: 'violates unique constraint',
  },
  hiddenRows: {
    what: 'rows that row security hides from the role, at `--reset`',
    outcome: 'refused',
    says: 'rows that this role cannot see',
    whatToDo: 'let a role empty it that sees them; every other start leaves them alone',
  },
  givesOtherIds: {
    what: 'a trigger that gives rows other ids',
    outcome: 'refused',
    says: 'rows other ids than their events have',
    whatToDo: 'let it leave `id` as it comes, and fill a column of its own',
  },
  refusesAll: {
    what: 'rules that refuse every event',
    outcome: 'refused',
    says: 'refuses every row that was tried',
    whatToDo: 'change the rule, start again: no event was set aside, and the job goes on there',
  },
} as const;
