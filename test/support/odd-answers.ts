/** Answers that are no pages, though an API gives them with status 200 or in place of one. */
import type { ScriptedAnswer, UsualPage } from './scripted-api.ts';

export type Odd = (usual: UsualPage) => ScriptedAnswer;

/** A page without its envelope's words about what comes next. */
export const withoutFlag: Odd = ({ body }) => ({ body: { data: body['data'] } });

export const ODD_ANSWERS = {
  'an error code beside an empty list': () => ({
    body: { data: [], code: 'UPSTREAM_TIMEOUT', message: 'upstream timed out' },
  }),
  'an error code, an empty list and "hasMore": false': () => ({
    body: { data: [], hasMore: false, nextCursor: null, code: 'UPSTREAM_TIMEOUT', message: 'upstream timed out' },
  }),
  '"success": false': () => ({ body: { success: false, data: [] } }),
  '"statusCode": 500': () => ({ body: { statusCode: 500, data: [] } }),
  'an empty list and nothing else': () => ({ body: { data: [] } }),
  'a page of events without a flag': withoutFlag,
  'an empty list and the right words about what comes next': ({ body }) => ({ body: { ...body, data: [] } }),
  'status 204': () => ({ status: 204, body: undefined }),
  'status 418': () => ({ status: 418, body: { code: 'OUT_OF_RANGE' } }),
} as const satisfies Readonly<Record<string, Odd>>;
