import { describe } from 'node:test';
import { MAX_EVENT_DEPTH } from '../../../../src/encode/rows/event-encoder.ts';
import { TEXT_COLUMNS, UUID_COLUMNS } from './copy-stream-reader.ts';
import { BIG, DOUBLED, NO_ROW, UNSTORABLE, UUID, itEncodes, type NastyEvent } from './nasty-events.ts';

const OTHER_UUID = '0b4ef8bb-6d6b-49bd-b80a-11a0eebc999c';
const NOT_A_TIME = 'occurred_at not-a-time';
const JAN_2026_US = 1_767_225_600_000_000n;

const NASTY: readonly NastyEvent[] = [
  // Elements that are no events
  { what: 'null instead of an event', event: 'null', row: NO_ROW, anomalies: ['event not-an-object'] },
  { what: 'an array instead of an event', event: '[{"id":"e"}]', row: NO_ROW, anomalies: ['event not-an-object'] },
  {
    what: 'an event nested as deep as it may be',
    event: `{"id":"e","properties":${nested(MAX_EVENT_DEPTH - 1)}}`,
    row: { properties: nested(MAX_EVENT_DEPTH - 1) },
  },
  {
    what: 'an event nested too deep',
    event: `{"id":"e","properties":${nested(MAX_EVENT_DEPTH)}}`,
    row: NO_ROW,
    anomalies: ['event nested-too-deep'],
  },
  {
    what: 'an event that is too large',
    types: { ...TEXT_COLUMNS, maxEventBytes: 20 },
    event: '{"id":"e","n":"0123456789"}',
    row: NO_ROW,
    anomalies: ['event event-too-large'],
  },
  {
    what: 'an event of just the size',
    types: { ...TEXT_COLUMNS, maxEventBytes: 27 },
    event: '{"id":"e","n":"0123456789"}',
    row: { extra: '{"n":"0123456789"}' },
  },
  // Session and user ids
  {
    what: 'a user id that is no UUID',
    types: UUID_COLUMNS,
    event: `{"id":"${UUID}","userId":"u-1"}`,
    row: { extra: '{"userId":"u-1"}' },
  },
  { what: 'a user id of null', event: '{"id":"e","userId":null}', row: { extra: '{"userId":null}' } },
  {
    what: 'a user id that is a number',
    event: '{"id":"e","userId":42}',
    row: { user_id: '42', extra: '{"userId":42}' },
  },
  {
    what: 'NUL in a user id',
    event: '{"id":"e","userId":"a\\u0000"}',
    row: { extra: '{"userId":"a\ufffd"}' },
    anomalies: [`extra ${UNSTORABLE}`],
  },
  // Sessions
  {
    what: 'a full session',
    types: UUID_COLUMNS,
    event: `{"id":"${UUID}","sessionId":"${UUID}","session":{"id":"${UUID.toUpperCase()}","deviceType":"mobile","browser":"Chrome"}}`,
    row: { session_id: UUID, device_type: 'mobile', browser: 'Chrome' },
  },
  {
    what: 'a session of another id',
    types: UUID_COLUMNS,
    event: `{"id":"${UUID}","sessionId":"${UUID}","session":{"id":"${OTHER_UUID}","deviceType":"mobile"}}`,
    row: { session_id: UUID, device_type: 'mobile', extra: `{"session":{"id":"${OTHER_UUID}"}}` },
  },
  {
    what: 'a session with more in it',
    event: '{"id":"e","sessionId":"s","session":{"id":"s","deviceType":"mobile","os":{"v":1.0}}}',
    row: { session_id: 's', device_type: 'mobile', extra: '{"session":{"os":{"v":1.0}}}' },
  },
  {
    what: 'a session without its id',
    event: '{"id":"e","sessionId":"s","session":{"browser":"b"}}',
    row: { session_id: 's', browser: 'b', extra: '{"sessionId":"s"}' },
  },
  {
    what: 'a session that has only its id',
    event: '{"id":"e","sessionId":"s","session":{"id":"s"}}',
    row: { session_id: 's', extra: '{"session":{}}' },
  },
  { what: 'a session without anything', event: '{"id":"e","session":{}}', row: { extra: '{"session":{}}' } },
  { what: 'a session that is a text', event: '{"id":"e","session":"s"}', row: { extra: '{"session":"s"}' } },
  {
    what: 'a device type that is a number',
    event: '{"id":"e","sessionId":"s","session":{"id":"s","deviceType":5,"browser":"b"}}',
    row: { session_id: 's', browser: 'b', extra: '{"session":{"deviceType":5}}' },
  },
  {
    what: 'doubled sessions',
    event: '{"id":"e","session":{"browser":"x","a":1},"session":{"deviceType":"d"}}',
    row: { device_type: 'd' },
    anomalies: [`event ${DOUBLED}`],
  },
  // Texts
  {
    what: 'NUL in a name',
    event: '{"id":"e","name":"a\\u0000b"}',
    row: { name: 'a\ufffdb' },
    anomalies: [`name ${UNSTORABLE}`],
  },
  {
    what: 'lone surrogates in a name',
    event: '{"id":"e","name":"\\ude00\\ud83d\\ud83d\\ude00\\uD83D"}',
    row: { name: '\ufffd\ufffd😀\ufffd' },
    anomalies: [`name ${UNSTORABLE}`],
  },
  {
    what: 'every escape in a name',
    event: '{"id":"e","name":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC"}',
    row: { name: '"\\/\b\f\n\r\té€' },
  },
  {
    what: 'U+FFFF, U+FEFF and a raw emoji in a name',
    event: '{"id":"e","name":"\\uffff\ufeff😀"}',
    row: { name: '\uffff\ufeff😀' },
  },
  { what: 'an empty name', event: '{"id":"e","name":""}', row: { name: '' } },
  { what: 'a name that is a number', event: '{"id":"e","name":1.50}', row: { extra: '{"name":1.50}' } },
  { what: 'a type of null', event: '{"id":"e","type":null}', row: { extra: '{"type":null}' } },
  {
    what: 'eventType',
    event: '{"id":"e","eventType":"click"}',
    row: { type: 'click', extra: '{"eventType":"click"}' },
  },
  {
    what: 'type and eventType',
    event: '{"id":"e","eventType":"a","type":"b"}',
    row: { type: 'b', extra: '{"eventType":"a"}' },
  },
  { what: 'event_type', event: '{"id":"e","event_type":"c"}', row: { type: 'c', extra: '{"event_type":"c"}' } },
  // properties and extra
  {
    what: 'numbers that no double holds',
    event: '{"id":"e","properties":{"a":9007199254740993,"b":1.10,"c":1e400,"d":-0.0}}',
    row: { properties: '{"a":9007199254740993,"b":1.10,"c":1e400,"d":-0.0}' },
  },
  {
    what: 'a number that numeric does not hold',
    event: '{"id":"e","properties":{"a":[1e131072,-1E-16384,"1e131072"]}}',
    row: { properties: '{"a":["1e131072","-1E-16384","1e131072"]}' },
    anomalies: [`properties ${BIG}`],
  },
  { what: 'properties of a text', event: '{"id":"e","properties":"x\\n"}', row: { properties: '"x\\n"' } },
  { what: 'properties of null', event: '{"id":"e","properties":null}', row: { properties: 'null' } },
  {
    what: 'properties with white space and doubled keys',
    event: '{"id":"e","properties": { "a" : 1 , "a":2 } }',
    row: { properties: '{ "a" : 1 , "a":2 }' },
    anomalies: [`properties ${DOUBLED}`],
  },
  {
    what: 'NUL in keys and values at any depth',
    event: '{"id":"e","properties":{"\\u0000":[{"k\\ud800":"v\\u0000\\\\u0000"}]},"x\\u0000":"\\udfff"}',
    row: { properties: '{"\ufffd":[{"k\ufffd":"v\ufffd\\\\u0000"}]}', extra: '{"x\ufffd":"\ufffd"}' },
    anomalies: [`properties ${UNSTORABLE}`, `extra ${UNSTORABLE}`],
  },
  {
    what: 'keys that are one key once they are repaired',
    event: '{"id":"e","a\\u0000":1,"a\\ud800":2}',
    row: { extra: '{"a\ufffd":1,"a\ufffd":2}' },
    anomalies: [`extra ${UNSTORABLE}`, `event ${DOUBLED}`],
  },
  { what: 'unknown fields', event: '{"id":"e","a" : [1, 2],"b":"c"}', row: { extra: '{"a" : [1, 2],"b":"c"}' } },
  {
    what: 'keys that only look known',
    event: '{"id":"e","Id":1,"names":2,"":3,"__proto__":4}',
    row: { extra: '{"Id":1,"names":2,"":3,"__proto__":4}' },
  },
  {
    what: 'NUL in the first of doubled fields',
    event: '{"id":"e","name":"\\u0000","name":"n"}',
    row: { name: 'n' },
    anomalies: [`event ${DOUBLED}`],
  },
  // Times
  {
    what: 'a time that is no time',
    event: '{"id":"e","timestamp":"yesterday"}',
    row: { extra: '{"timestamp":"yesterday"}' },
    anomalies: [NOT_A_TIME],
  },
  {
    what: 'a time that is an object',
    event: '{"id":"e","timestamp":{"$date":1}}',
    row: { extra: '{"timestamp":{"$date":1}}' },
    anomalies: [NOT_A_TIME],
  },
  { what: 'a time of null', event: '{"id":"e","timestamp":null}', row: { extra: '{"timestamp":null}' } },
  {
    what: 'a time with NUL in it',
    event: '{"id":"e","timestamp":"2026-01-01\\u0000"}',
    row: { extra: '{"timestamp":"2026-01-01\ufffd"}' },
    anomalies: [NOT_A_TIME, `extra ${UNSTORABLE}`],
  },
  {
    what: 'a time with escapes',
    event: '{"id":"e","timestamp":"2026-01-01\\u005400:00:00\\u005a"}',
    row: { occurred_at: JAN_2026_US },
  },
  {
    what: 'occurredAt',
    event: '{"id":"e","occurredAt":"2026-01-01"}',
    row: { occurred_at: JAN_2026_US, extra: '{"occurredAt":"2026-01-01"}' },
  },
  {
    what: 'timestamp and the same occurredAt',
    event: '{"id":"e","timestamp":1767225600000,"occurredAt":"2026-01-01"}',
    row: { occurred_at: JAN_2026_US, extra: '{"occurredAt":"2026-01-01","timestamp":1767225600000}' },
  },
  {
    what: 'a bad timestamp and a good occurred_at',
    event: '{"id":"e","timestamp":false,"occurred_at":"2026-01-01"}',
    row: { extra: '{"timestamp":false,"occurred_at":"2026-01-01"}' },
    anomalies: [NOT_A_TIME],
  },
];

function nested(depth: number): string {
  return '['.repeat(depth) + ']'.repeat(depth);
}

describe('encodePage, by the values of events', () => {
  itEncodes(NASTY);
});
