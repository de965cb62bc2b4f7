/** The texts that events are made of: types and their shares, properties, sessions, and the ways an event can be malformed. */
import { hash32, purposeSeed, uuidText } from './random.ts';
import type { SimulatorSettings } from '../settings.ts';

/** The contract's shares in percent, with a few properties for each type. */
export const eventTypes: readonly { type: string; percent: number; properties: readonly string[] }[] = [
  {
    type: 'page_view',
    percent: 35,
    properties: ['{"page":"/home"}', '{"page":"/pricing"}', '{"page":"/docs/start"}', '{"page":"/blog"}'],
  },
  {
    type: 'click',
    percent: 25,
    properties: ['{"button":"signup"}', '{"button":"buy","x":311}', '{"link":"/about"}', '{"button":"menu"}'],
  },
  {
    type: 'api_call',
    percent: 10,
    properties: [
      '{"endpoint":"/v1/users","ms":12}',
      '{"endpoint":"/v1/items","ms":48}',
      '{"status":200}',
      '{"status":404}',
    ],
  },
  {
    type: 'form_submit',
    percent: 10,
    properties: [
      '{"form":"contact"}',
      '{"form":"signup","ok":true}',
      '{"form":"search"}',
      '{"form":"login","ok":false}',
    ],
  },
  { type: 'scroll', percent: 5, properties: ['{"depth":25}', '{"depth":50}', '{"depth":75}', '{"depth":100}'] },
  {
    type: 'purchase',
    percent: 5,
    properties: [
      '{"amount":19.90,"currency":"EUR"}',
      '{"amount":5,"currency":"USD"}',
      '{"amount":129.00}',
      '{"items":3}',
    ],
  },
  {
    type: 'error',
    percent: 5,
    properties: ['{"code":"E42","fatal":false}', '{"message":"Größe fehlt"}', '{"code":500}', '{"stack":["a","b"]}'],
  },
  {
    type: 'video_play',
    percent: 5,
    properties: [
      '{"video":"intro","position":0}',
      '{"video":"demo","position":12.5}',
      '{"video":"tour"}',
      '{"live":true}',
    ],
  },
];

const devices = ['mobile', 'desktop', 'tablet'] as const;
const browsers = ['Chrome', 'Firefox', 'Safari', 'Edge'] as const;

export interface Session {
  readonly id: string;
  readonly userId: string;
  readonly device: string;
  readonly browser: string;
}

/** @returns session number n of a data set; it belongs to one user and one device */
export function sessionOf(settings: SimulatorSettings, n: number): Session {
  const sessionSeed = purposeSeed(settings.seed, 'session');
  const draw = hash32(sessionSeed, n);
  return {
    id: uuidText(sessionSeed, n),
    userId: uuidText(purposeSeed(settings.seed, 'user'), n % settings.users),
    device: devices[draw % devices.length] ?? 'mobile',
    browser: browsers[(draw >>> 8) % browsers.length] ?? 'Chrome',
  };
}

/** An event's top-level fields in serving order; values are JSON text. */
export type EventFields = Map<string, string>;

/** Extra fields. Some are named like fields of the envelope, and must not be taken for them. */
export const extraFieldVariants: readonly Readonly<Record<string, string>>[] = [
  { region: '"eu-west-1"', schemaVersion: '3' },
  { hasMore: 'false', nextCursor: '"bm90LWEtY3Vyc29y"' },
  { pagination: '{"hasMore":false,"nextCursor":null,"limit":1}' },
  { meta: '{"total":1}', data: '[{"id":"inner"}]' },
  { referrer: 'null', tags: '["a",["b",{"c":1.50}]]' },
];

/** Values that are hard to store, but no reason to reject the event. */
export const nastyVariants: readonly Readonly<Record<string, string>>[] = [
  { name: '"nul \\u0000 inside"' },
  { properties: '{"cut":"\\ud83d end"}' },
  { properties: '{"big":12345678901234567890,"price":1.10,"huge":1e400,"tiny":-0.000000000000000000001}' },
  { properties: '{"a\\u0000b":{"c":["\\udc00","x\\u0000"]}}' },
  { properties: `${'['.repeat(60)}1${']'.repeat(60)}` },
  { properties: 'null' },
  { properties: '"only text"' },
  { name: '42', type: '{"not":"text"}' },
  { sessionId: '"not-a-uuid"' },
  { userId: '17' },
  { name: '"quotes \\" backslash \\\\ slash \\/ tab \\t emoji 😀 \\ud83d\\ude00 größe"' },
  { properties: `{"long":"${'x'.repeat(20_000)}"}` },
  { properties: '{"twice":1,"twice":2}' },
  { session: '{"id":null,"deviceType":7,"browser":"Ch\\u0000rome","more":[1]}' },
  { session: '"none"' },
];

/** Ids that cannot be stored as a key: the event must be rejected. `undefined`: the field is missing. */
export const badIdVariants: readonly (string | undefined)[] = [
  undefined,
  'null',
  '""',
  '{}',
  '["x"]',
  'true',
  `"${'long-'.repeat(1000)}"`,
];

/** Values that are not a time: the row is kept without one. */
export const badTimeVariants: readonly (string | undefined)[] = [
  undefined,
  'null',
  '""',
  '"yesterday"',
  '"2026-02-30T00:00:00Z"',
  'true',
  '1e300',
  '"infinity"',
];
