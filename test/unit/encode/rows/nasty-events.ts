/** Single events with something odd about them: the row that each becomes, and what is noted. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { encodeText, type ReadRow, readRows, TEXT_COLUMNS } from './copy-stream-reader.ts';

export const UUID = 'af5c33c8-8aac-4aa0-9448-b07b52ddaf9f';
export const NO_ROW = null;
export const UNSTORABLE = 'unstorable-characters-replaced';
export const BIG = 'number-out-of-range-kept-as-text';
export const DOUBLED = 'key-doubled';

export interface NastyEvent {
  what: string;
  event: string;
  /** Columns that are not null besides id; null: no row at all. */
  row: Partial<ReadRow> | null;
  /** `field reason`, one an anomaly. */
  anomalies?: string[];
  types?: typeof TEXT_COLUMNS;
}

const NULLS: ReadRow = {
  id: null,
  session_id: null,
  user_id: null,
  type: null,
  name: null,
  properties: null,
  occurred_at: null,
  device_type: null,
  browser: null,
  extra: null,
  source_order: 0n,
};

/** In all of them the id is "e", or UUID where the columns are UUIDs. */
export function itEncodes(events: readonly NastyEvent[]): void {
  for (const { what, event, row, anomalies = [], types = TEXT_COLUMNS } of events) {
    it(`${row === NO_ROW ? 'rejects' : 'takes'} ${what}`, () => {
      const page = encodeText(`{"data":[${event}]}`, types);
      const id = types.idColumnTypes.id === 'uuid' ? UUID : 'e';
      assert.deepEqual(readRows(page, types), row === NO_ROW ? [] : [{ ...NULLS, id, ...row }]);
      assert.deepEqual(
        page.anomalies.map(({ field, reason }) => `${field} ${reason}`),
        anomalies,
      );
      for (const anomaly of page.anomalies) {
        assert.equal(anomaly.kind, row === NO_ROW ? 'rejected' : 'repaired');
        assert.equal(Buffer.from(anomaly.original).toString('utf8'), event);
      }
      assert.equal(page.rejectedCount, row === NO_ROW ? 1 : 0);
      assert.equal(page.repairedCount, row !== NO_ROW && anomalies.length > 0 ? 1 : 0);
    });
  }
}
