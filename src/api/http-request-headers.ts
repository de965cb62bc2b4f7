/** The header sets that the API wants. The key is in no URL: as a query parameter it halves its budget and is logged. */
import { basicCredentials } from '../core/addresses.ts';

export interface Identity {
  /** Its user and password, if it has them, are sent as HTTP has it. */
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly userAgent: string;
}

/** For pages. */
export function pageHeaders(identity: Identity, acceptCompression: boolean): Record<string, string> {
  return {
    'x-api-key': identity.apiKey,
    'user-agent': identity.userAgent,
    accept: 'application/json',
    'accept-encoding': acceptCompression ? 'gzip, deflate, br' : 'identity',
    ...authorization(identity),
  };
}

/** For stream access: the API answers only its own dashboard, and deployments differ in how they recognise it. */
export function dashboardHeaders(identity: Identity, origin: string): Record<string, string> {
  return {
    'x-api-key': identity.apiKey,
    'user-agent': identity.userAgent,
    accept: 'application/json, text/plain, */*',
    'accept-encoding': 'identity',
    'accept-language': 'en-US,en;q=0.9',
    'content-type': 'application/json',
    origin,
    referer: `${origin}/`,
    'sec-fetch-site': 'same-origin',
    'sec-fetch-mode': 'cors',
    'sec-fetch-dest': 'empty',
    'x-requested-with': 'XMLHttpRequest',
    cookie: `dashboard_api_key=${encodeURIComponent(identity.apiKey)}`,
    ...authorization(identity),
  };
}

function authorization({ baseUrl }: Identity): Record<string, string> {
  const credentials = basicCredentials(baseUrl);
  return credentials === null ? {} : { authorization: credentials };
}
