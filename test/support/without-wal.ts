/**
 * Settings of a server where rows that a transaction writes to a new file are not logged, however few they are: as the embedded server is
 * set up, and with files that are written out instead of logged from their first page on.
 */
export const WITHOUT_WAL: Readonly<Record<string, string>> = {
  wal_level: 'minimal',
  max_wal_senders: '0',
  wal_skip_threshold: '0',
};
