/** The names of everything that can go wrong with a page, and how shares and plans of faults are written. */
import { z } from 'zod';

export const faultKinds = [
  /** 429 for this and the next requests (`burst` in all), whatever the budget says. */
  '429',
  '500-json',
  '500-html',
  '502-json',
  '502-html',
  '503-json',
  '503-html',
  '504-json',
  '504-html',
  /** Connection reset before the first byte. */
  'reset',
  /** Connection reset in the middle of the body. */
  'reset-body',
  /** Half of the body, then the connection ends; Content-Length reveals it. */
  'cut-body',
  /** Half of the body, chunked and properly ended: only the JSON reveals it. */
  'cut-chunked',
  /** Half of the body, without length or chunks: the body ends with the connection. */
  'cut-close',
  'html-200',
  'empty-200',
  'error-200',
  /** A page whose events lack fields, with X-Chaos headers. */
  'missing-fields',
  /** The request's cursor is refused as stale, whatever its age. */
  'stale-cursor',
  /** The right page, but its next cursor is the request's own. */
  'same-cursor',
  /** No events, `hasMore: true`, the request's own cursor. */
  'empty-page',
  /** The right events, `hasMore: true`, no cursor. */
  'no-cursor',
  /** The page lacks its last events, and its cursor goes on behind them. */
  'lost-events',
  /** Never answers. */
  'hang',
  /** Half of the body, then silence. */
  'hang-body',
  'redirect',
  /** A good page; then the idle connection is closed without notice. */
  'close-idle',
  /** The stream token is rejected although it is good. */
  'token',
] as const;
export type FaultKind = (typeof faultKinds)[number];

const requestKinds = ['page', 'events', 'stream', 'access'] as const;

const parseShares = (value: string): Record<string, number> =>
  Object.fromEntries(
    value
      .split(',')
      .filter((part) => part.trim() !== '')
      .map((part) => {
        const [kind = '', share = ''] = part.split('=');
        return [kind.trim(), Number(share)];
      }),
  );

const parsePlan = (value: string): { on: string; nth: number; fault: string }[] =>
  value
    .split(',')
    .filter((part) => part.trim() !== '')
    .map((part) => {
      const match = /^(?:(\w+)\/)?(\d+):(.+)$/.exec(part.trim());
      return { on: match?.[1] ?? 'page', nth: Number(match?.[2]), fault: match?.[3] ?? part };
    });

export const faultShares = z
  .union([z.string().transform(parseShares), z.record(z.string(), z.number())])
  .pipe(z.partialRecord(z.enum(faultKinds), z.number().min(0).max(1)))
  .default({});

export const faultPlan = z
  .union([
    z.string().transform(parsePlan),
    z.array(z.object({ on: z.string().default('page'), nth: z.number(), fault: z.string() })),
  ])
  .pipe(
    z.array(
      z.object({
        /** `page` counts both endpoints together. */
        on: z.enum(requestKinds),
        /** From 1. */
        nth: z.number().int().min(1),
        fault: z.enum(faultKinds),
      }),
    ),
  )
  .default([]);

export type FaultPlan = z.output<typeof faultPlan>;
