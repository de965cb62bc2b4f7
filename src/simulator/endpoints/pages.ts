/** Selects the events that a request gets, and makes the page of them. */
import { jsonAnswer, type Answer } from './answer.ts';
import { issueCursor, openCursor } from './cursor.ts';
import type { DataSet } from '../data/data-set.ts';
import { renderEnvelope } from './envelope.ts';
import { staleCursorAnswer } from '../faults/fault-answers.ts';
import type { FaultKind } from '../faults/fault-kinds.ts';
import type { SimulatorSettings } from '../settings.ts';

export interface PageQuery {
  readonly limit: number;
  readonly cursor: string | null;
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
  readonly sessionId: string | null;
}

export interface MadePage {
  readonly answer: Answer;
  readonly firstRank: number | null;
  readonly events: number;
  readonly cursorState: 'none' | 'good' | 'stale' | 'bad';
}

/** Share of a page that a `lost-events` fault leaves out. */
const LOST_SHARE = 0.1;
const COMMA = Buffer.from(',');

export function readPageQuery(
  settings: SimulatorSettings,
  endpoint: 'events' | 'stream',
  query: URLSearchParams,
): PageQuery {
  const limit = Number(query.get('limit') ?? settings.defaultLimit);
  const usable = Number.isInteger(limit) && limit > 0 ? limit : settings.defaultLimit;
  const windowed = endpoint === 'stream' && settings.windows === 'honoured';
  return {
    limit: Math.min(usable, settings.pageCap),
    cursor: query.get('cursor'),
    sinceMs: windowed ? numberIn(query.get('since')) : null,
    untilMs: windowed ? numberIn(query.get('until')) : null,
    sessionId: query.get('sessionId'),
  };
}

export function numberIn(text: string | null): number | null {
  return text !== null && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : null;
}

/** Makes pages. Caches the ranks of the last session asked for. */
export class PageMaker {
  /** The events that were served without one of their fields: id → field. */
  readonly damaged = new Map<string, string>();
  private readonly data: DataSet;
  private sessionRanks: { sessionId: string; version: number; ranks: number[] } | null = null;

  constructor(data: DataSet) {
    this.data = data;
  }

  make(settings: SimulatorSettings, query: PageQuery, fault: FaultKind | null, requestId: string): MadePage {
    const nowMs = Date.now();
    const { store } = this.data;
    let from = 0;
    let end = store.count;
    const cursor = query.cursor === null ? null : openCursor(query.cursor);
    if (query.cursor !== null) {
      if (cursor === null) return refused(staleCursorAnswer(settings, null), 'bad');
      const ageMs = nowMs - cursor.expiresAtMs;
      if (ageMs > 0 || fault === 'stale-cursor') return refused(staleCursorAnswer(settings, ageMs), 'stale');
      from = store.rankAfter(cursor.id, cursor.micros);
    }
    if (query.untilMs !== null && (cursor === null || settings.untilWithCursor === 'honoured')) {
      const micros = Math.round(query.untilMs * 1000);
      from = Math.max(
        from,
        settings.untilBound === 'inclusive' ? store.rankAtOrOlderThan(micros) : store.rankOlderThan(micros),
      );
    }
    if (query.sinceMs !== null && (cursor === null || settings.sinceWithCursor === 'honoured')) {
      const micros = Math.round(query.sinceMs * 1000);
      end = Math.min(
        end,
        settings.sinceBound === 'inclusive' ? store.rankOlderThan(micros) : store.rankAtOrOlderThan(micros),
      );
    }
    const windowed = query.sinceMs !== null || query.untilMs !== null;
    if (windowed && cursor === null && settings.outOfRange === '418' && (from >= store.count || end <= 0)) {
      return refused(jsonAnswer(418, { error: "I'm a teapot", code: 'OUT_OF_RANGE' }), 'none');
    }
    const ranks =
      query.sessionId === null ? null : this.ranksOf(query.sessionId).filter((rank) => rank >= from && rank < end);
    const available = ranks === null ? Math.max(0, end - from) : ranks.length;
    const count = fault === 'empty-page' ? 0 : Math.min(query.limit, available);
    const lastRank = ranks === null ? from + count - 1 : (ranks[count - 1] ?? -1);
    const hasMore = available > count || fault === 'empty-page' || fault === 'no-cursor';
    const parts =
      ranks === null
        ? store.slices(from, from + count)
        : ranks
            .slice(0, count)
            .flatMap((rank, index) =>
              index === 0 ? store.slices(rank, rank + 1) : [COMMA, ...store.slices(rank, rank + 1)],
            );
    const lost = fault === 'lost-events' && ranks === null ? Math.ceil(count * LOST_SHARE) : 0;
    const envelope = renderEnvelope(settings, {
      limit: query.limit,
      // Nothing on the page shows what it leaves out.
      returned: count - lost,
      hasMore,
      nextCursor: hasMore ? this.nextCursor(settings, fault, query.cursor, lastRank, nowMs) : null,
      cursorExpiresIn: Math.round(settings.cursorTtl),
      total: store.count + settings.totalOffset,
      requestId,
    });
    const events =
      fault === 'missing-fields'
        ? this.damage(from, count)
        : { parts: lost > 0 ? store.slices(from, from + count - lost) : parts, headers: {} };
    return {
      answer: {
        status: 200,
        headers: { 'Content-Type': 'application/json; charset=utf-8', ...events.headers },
        parts: [Buffer.from(envelope.head), ...events.parts, Buffer.from(envelope.tail)],
        framing: settings.chunked ? 'chunked' : 'length',
      },
      firstRank: count > 0 ? (ranks === null ? from : (ranks[0] ?? null)) : null,
      events: count - lost,
      cursorState: cursor === null ? 'none' : 'good',
    };
  }

  private nextCursor(
    settings: SimulatorSettings,
    fault: FaultKind | null,
    asked: string | null,
    lastRank: number,
    nowMs: number,
  ): string | null {
    if (fault === 'no-cursor') return null;
    if ((fault === 'same-cursor' || fault === 'empty-page') && asked !== null) return asked;
    const { store } = this.data;
    const rank = Math.max(0, lastRank);
    const id = store.orderId(rank) ?? store.placeName(rank);
    return issueCursor(settings, { id, micros: store.keyMicros(rank) }, nowMs);
  }

  private ranksOf(sessionId: string): number[] {
    const known = this.sessionRanks;
    if (known?.sessionId === sessionId && known.version === this.data.version) return known.ranks;
    const ranks = this.data.store.ranksOfSession(sessionId);
    this.sessionRanks = { sessionId, version: this.data.version, ranks };
    return ranks;
  }

  /** Removes one field from every third event, and leaves its other bytes unchanged. */
  private damage(from: number, count: number): { parts: Buffer[]; headers: Record<string, string> } {
    const fields = ['userId', 'sessionId', 'name', 'type'];
    const parts: Buffer[] = [];
    for (let rank = from; rank < from + count; rank += 1) {
      const event = this.data.store.event(rank);
      if (event === null) continue;
      let raw = Buffer.from(event.raw);
      const field = fields[(rank / 3) % fields.length];
      if (field !== undefined) {
        const text = raw.toString('utf8');
        const without = text.replace(new RegExp(`"${field}":"[^"\\\\]*",`), '');
        if (without !== text && event.id !== null) {
          raw = Buffer.from(without);
          this.damaged.set(event.id, field);
        }
      }
      if (rank > from) parts.push(COMMA);
      parts.push(raw);
    }
    return {
      parts,
      headers: { 'X-Chaos-Applied': 'missingFields', 'X-Chaos-Description': 'Some events lack fields' },
    };
  }
}

function refused(answer: Answer, cursorState: MadePage['cursorState']): MadePage {
  return { answer, firstRank: null, events: 0, cursorState };
}
