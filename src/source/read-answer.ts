/**
 * What a page of a described source says of itself, in the words that the walk knows. What stands around the records comes as
 * text from the worker that has read them; everything else of the answer is at hand.
 */
import type { AskedFor, PageEnvelope, QuotedEnvelope } from '../core/encoded-page.ts';
import { parseExactly } from './exact-json.ts';
import type { FilledDescription } from './fill-in.ts';
import { failureIn, nextPosition, totalIn, type NextPosition } from './next-position.ts';
import { readKeyAndCount } from './positions.ts';
import { timesOfOtherFormat } from './time-format.ts';
import { isEmptyList } from './unwritten-list.ts';

/** Why a page is none. */
export type AnswerFault = Exclude<NextPosition, { kind: 'next' | 'end' }>;

/** What the pages before have shown. */
export interface ReadBefore {
  /** One has said that more follows, as the description has it. */
  readonly isMoreKnown: boolean;
  /** The most records that one had. */
  readonly mostRecords: number;
}

export function readAnswer(
  source: FilledDescription,
  { url, headers, cursor, limit: asked, hasNoContent = false }: AskedFor,
  { around, hasList, firstRecord, lastRecord, ids }: QuotedEnvelope,
  records: number,
  { isMoreKnown, mostRecords }: ReadBefore,
): PageEnvelope | AnswerFault {
  const { size, next } = source.description;
  const limit = Math.min(asked, size?.max ?? Infinity);
  const envelope = parseExactly(around);
  const isFirstRead = mostRecords === 0;
  const [first, last] = next.kind === 'lastRecord' || isFirstRead ? [recordIn(firstRecord), recordIn(lastRecord)] : [];
  const isEmpty = hasNoContent || (!hasList && isEmptyList(source, envelope));
  const isKnown = hasList || isEmpty || failureIn(source, { envelope }) !== null;
  const found = isKnown
    ? nextPosition(source, {
        envelope,
        headers,
        records,
        firstRecord: first,
        lastRecord: last,
        url,
        position: cursor,
        limit,
        mostBefore: mostRecords,
        isMoreKnown,
        hasNoContent,
      })
    : noList(source, envelope);
  if (found.kind !== 'next' && found.kind !== 'end') return found;
  const isFirstAndFull = cursor === null && limit > 1 && records >= limit;
  const isOnly = found.kind === 'end' && isFirstAndFull && !isMoreKnown;
  const sought = isOnly ? soughtIn(source, records > limit) : null;
  if (sought !== null)
    return {
      kind: 'unclear',
      why: `a full first page has no ${sought}; the answer is ${shown(envelope)}`,
    };
  const otherFormat = isFirstRead ? timesOfOtherFormat(source, [first, last]) : null;
  if (otherFormat !== null) return { kind: 'unclear', why: otherFormat };
  if (isFirstRead && isIdShared(source, records, ids ?? records))
    return { kind: 'unclear', why: `the ${records} records of a first page have ${ids} different values at id` };
  const position = found.kind === 'next' ? found.position : (found.shownBy ?? null);
  const isShort = found.kind === 'end' && found.by === 'short-page' && position !== null;
  // The description may look for the way to a next page in the wrong place.
  const leadsByWord = next.kind === 'token' || next.kind === 'link';
  const isLone = found.kind === 'end' && found.by === 'next-absent' && cursor === null && !isMoreKnown;
  return {
    hasMore: found.kind === 'next',
    nextCursor: position,
    total: totalIn(source, { envelope, headers }),
    returned: null,
    cursorLifeMs: next.kind === 'token' ? next.lifeMs : null,
    saysNoCursor: position === null,
    supposesEnd: isShort || (isLone && leadsByWord),
    speaksOfError: false,
    ...countsPages(source),
    mayBeginAgain: mayBeginAgain(source, cursor),
    endsEmpty: endsEmpty(source),
  };
}

/** Fewer say nothing of all the others. */
const MIN_RECORDS = 10;

/** Whether most records have an id that others have, too: each would be a row once. */
function isIdShared({ description: { id, version } }: FilledDescription, records: number, ids: number): boolean {
  return id !== undefined && version === undefined && records >= MIN_RECORDS && 2 * ids < records;
}

/** `undefined` for one that is broken. */
function recordIn(text: string | null): unknown {
  try {
    return text === null ? null : parseExactly(text);
  } catch {
    return undefined;
  }
}

const LEADS_ON = ', which leads to the next one';

/**
 * What says that a next page follows, and does not on a last one. A first page that is full without it is a list of just this length,
 * or the description is wrong: a smaller page, which is asked for then, shows which. `null`: an end is said otherwise.
 * @param isWhole it has more than was asked for: then its flag may be right
 */
function soughtIn({ description: { more, next, size } }: FilledDescription, isWhole: boolean): string | null {
  if (size === undefined) return null;
  const linkHeader = `Link header with rel="next"${LEADS_ON}`;
  if (more.kind === 'link') return linkHeader;
  if (more.kind === 'path' && !isWhole)
    return `${String(more.is)} at [${more.path.join(', ')}], which says that more follows`;
  if (more.kind !== 'next-absent') return null;
  if (next.kind === 'link') return next.from === 'header' ? linkHeader : `[${next.from.join(', ')}]${LEADS_ON}`;
  if (next.kind !== 'token') return null;
  return `${'header' in next.from ? `header ${next.from.header}` : `[${next.from.path.join(', ')}]`}${LEADS_ON}`;
}

/**
 * Whether a position goes with the size of page that its chain was begun with: it is, or has in it, the number of a page. Or it is an
 * address, which has that size in it, and a page that is smaller would be the last. What a token is, nobody says: it may be the number
 * of a page.
 */
function countsPages({ description: { next, more } }: FilledDescription): Pick<PageEnvelope, 'countsPages'> {
  switch (next.kind) {
    case 'token':
      return {};
    case 'link':
      return { countsPages: more.kind === 'short-page' };
    case 'count':
      return { countsPages: next.step === 1 };
    case 'lastRecord':
      return { countsPages: next.within?.step === 1 };
  }
}

/** Where no word of an answer ends a list, and every record leads to a next page. */
function endsEmpty({ description: { more, next } }: FilledDescription): boolean {
  const isUnsaid = more.kind === 'next-absent' || more.kind === 'short-page';
  return isUnsaid && (next.kind === 'count' || next.kind === 'lastRecord');
}

/** A whole page of records can have one value. What comes behind them is asked for by this value, and page numbers under it: from the first on. */
function mayBeginAgain({ description: { next } }: FilledDescription, cursor: string | null): boolean {
  if (next.kind !== 'lastRecord' || next.within === null || cursor === null) return false;
  return readKeyAndCount(cursor).count === next.within.first;
}

function noList({ description: { records } }: FilledDescription, body: unknown): NextPosition {
  return { kind: 'unclear', why: `the answer has no list at records: [${records.join(', ')}]; it is ${shown(body)}` };
}

/** How many keys of an answer a message shows. */
const MAX_KEYS = 12;

function shown(body: unknown): string {
  if (Array.isArray(body)) return 'a list itself, of which the path is []';
  if (typeof body !== 'object' || body === null) return typeof body;
  const keys = Object.keys(body);
  return `an object with ${keys.slice(0, MAX_KEYS).join(', ')}${keys.length > MAX_KEYS ? ', …' : ''}`;
}
