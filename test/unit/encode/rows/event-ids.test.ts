import { describe } from 'node:test';
import { UUID_COLUMNS } from './copy-stream-reader.ts';
import { BIG, DOUBLED, NO_ROW, UUID, itEncodes, type NastyEvent } from './nasty-events.ts';

const OTHER_SPELLING = 'id uuid-in-another-spelling';

const NASTY: readonly NastyEvent[] = [
  // Ids
  { what: 'no id', event: '{"name":"n"}', row: NO_ROW, anomalies: ['id id-missing'] },
  { what: 'an id of null', event: '{"id":null}', row: NO_ROW, anomalies: ['id id-null'] },
  { what: 'an empty id', event: '{"id":""}', row: NO_ROW, anomalies: ['id id-empty'] },
  { what: 'an id that is an object', event: '{"id":{"a":1}}', row: NO_ROW, anomalies: ['id id-wrong-type'] },
  { what: 'an id that is true', event: '{"id":true}', row: NO_ROW, anomalies: ['id id-wrong-type'] },
  { what: 'NUL in an id', event: '{"id":"a\\u0000b"}', row: NO_ROW, anomalies: ['id id-has-unstorable-characters'] },
  {
    what: 'half an emoji in an id',
    event: '{"id":"a\\ud83d"}',
    row: NO_ROW,
    anomalies: ['id id-has-unstorable-characters'],
  },
  { what: 'an id of 2,693 bytes', event: `{"id":"${'é'.repeat(1346)}x"}`, row: NO_ROW, anomalies: ['id id-too-long'] },
  { what: 'an id of 2,692 bytes', event: `{"id":"${'é'.repeat(1346)}"}`, row: { id: 'é'.repeat(1346) } },
  {
    what: 'a number beyond 2^53 as id',
    event: '{"id":12345678901234567890}',
    row: { id: '12345678901234567890', extra: '{"id":12345678901234567890}' },
  },
  { what: 'an id of 1.10', event: '{"id":1.10}', row: { id: '1.10', extra: '{"id":1.10}' } },
  { what: 'an id of 1e3', event: '{"id":1e3}', row: { id: '1e3', extra: '{"id":1e3}' } },
  { what: 'an id of minus zero', event: '{"id":-0}', row: { id: '-0', extra: '{"id":-0}' } },
  {
    what: 'an id that is a UUID but for a colon, where ids are UUIDs',
    event: `{"id":":${UUID.slice(1)}"}`,
    row: NO_ROW,
    anomalies: ['id id-not-a-uuid'],
    types: UUID_COLUMNS,
  },
  { what: 'an id with leading zeros', event: '{"id":"007"}', row: { id: '007' } },
  {
    what: 'an id that is a number beyond numeric',
    event: '{"id":1e131072}',
    row: { id: '1e131072', extra: '{"id":"1e131072"}' },
    anomalies: [`extra ${BIG}`],
  },
  {
    what: 'a UUID in capitals and braces where ids are texts',
    event: `{"id":"{${UUID.toUpperCase()}}"}`,
    row: { id: `{${UUID.toUpperCase()}}` },
  },
  { what: 'an id with escapes', event: '{"id":"\\u0065\\/\\ud83d\\ude00"}', row: { id: 'e/😀' } },
  { what: 'an id under an escaped key', event: '{"\\u0069d":"e"}', row: { id: 'e' } },
  { what: 'doubled ids', event: '{"id":"x","id":"e"}', row: { id: 'e' }, anomalies: [`event ${DOUBLED}`] },
  { what: 'eventId', event: '{"eventId":"e"}', row: { id: 'e', extra: '{"eventId":"e"}' } },
  { what: 'id and eventId', event: '{"eventId":"f","id":"e"}', row: { id: 'e', extra: '{"eventId":"f"}' } },
  {
    what: 'id and the same eventId',
    event: '{"eventId":"e","id":"e"}',
    row: { id: 'e', extra: '{"eventId":"e","id":"e"}' },
  },
  {
    what: 'a null id and event_id',
    event: '{"id":null,"event_id":"e"}',
    row: { id: 'e', extra: '{"event_id":"e","id":null}' },
  },
  {
    what: 'a UUID in capitals and braces',
    types: UUID_COLUMNS,
    event: `{"id":"{${UUID.toUpperCase()}}"}`,
    row: { id: UUID },
    anomalies: [OTHER_SPELLING],
  },
  {
    what: 'a UUID in capitals under another key',
    types: UUID_COLUMNS,
    event: `{"eventId":"${UUID.toUpperCase()}"}`,
    row: { id: UUID, extra: `{"eventId":"${UUID.toUpperCase()}"}` },
    anomalies: [OTHER_SPELLING],
  },
  {
    what: 'a UUID with its hyphens elsewhere',
    types: UUID_COLUMNS,
    event: `{"id":"${UUID.replaceAll('-', '').replace(/^(.{4})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')}"}`,
    row: { id: UUID },
    anomalies: [OTHER_SPELLING],
  },
  {
    what: 'a UUID without hyphens',
    types: UUID_COLUMNS,
    event: `{"id":"${UUID.replaceAll('-', '')}"}`,
    row: { id: UUID },
    anomalies: [OTHER_SPELLING],
  },
  { what: 'a UUID with escapes', types: UUID_COLUMNS, event: `{"id":"\\u0061${UUID.slice(1)}"}`, row: { id: UUID } },
  {
    what: 'a text where a UUID must be',
    types: UUID_COLUMNS,
    event: '{"id":"evt-1"}',
    row: NO_ROW,
    anomalies: ['id id-not-a-uuid'],
  },
  {
    what: 'a number where a UUID must be',
    types: UUID_COLUMNS,
    event: '{"id":12345678901234567890123456789012}',
    row: NO_ROW,
    anomalies: ['id id-wrong-type'],
  },
];

describe('encodePage, by the ids of events', () => {
  itEncodes(NASTY);
});
