import type { EventSlices } from '../scan/event-slices.ts';
import { SESSION_BITS } from '../scan/fields.ts';
import { type Repairs, repairJson } from '../scan/json-strings.ts';
import { MemberList } from '../scan/member-list.ts';
import type { CopyWriter } from './copy-writer.ts';

const ENCODER = new TextEncoder();
const OPEN = ENCODER.encode('{');
const CLOSE = ENCODER.encode('}');
const COMMA = ENCODER.encode(',');
const OPEN_SESSION = ENCODER.encode('"session":{');

/**
 * Gathers what goes into `extra` of one event, as the exact members of the body: every field that has no column, and
 * every field whose column does not say all of it. `event-rebuilding.ts` says what a field's presence here means.
 */
export class ExtraFields {
  readonly #kept = new MemberList();
  readonly #keptOfSession = new MemberList();
  #hasSession = false;

  clear(): void {
    this.#kept.clear();
    this.#keptOfSession.clear();
    this.#hasSession = false;
  }

  /** A field goes into `extra` as it is, one of the event's `session` into `extra.session`. */
  keep(slices: EventSlices, field: number): void {
    const list = (SESSION_BITS & (1 << field)) === 0 ? this.#kept : this.#keptOfSession;
    list.add(slices.of(field).keyStart, slices.memberEndOf(field));
  }

  /** `extra.session` is there, be it as `{}`: no column shows that the event had a session. */
  keepSession(): void {
    this.#hasSession = true;
  }

  /** Writes the column `extra`: null when there is nothing. */
  write(writer: CopyWriter, body: Uint8Array, slices: EventSlices, repairs: Repairs): void {
    const hasSession = this.#hasSession || this.#keptOfSession.count > 0 || slices.sessionOthers.count > 0;
    if (!hasSession && this.#kept.count === 0 && slices.others.count === 0) {
      writer.null();
      return;
    }
    const startedAt = writer.startJsonb();
    writer.raw(OPEN);
    const repaired = slices.unstorable ? repairs : null;
    const hasMembers = writeMembers(writer, body, repaired, [this.#kept, slices.others]);
    if (hasSession) {
      if (hasMembers) writer.raw(COMMA);
      writer.raw(OPEN_SESSION);
      writeMembers(writer, body, repaired, [this.#keptOfSession, slices.sessionOthers]);
      writer.raw(CLOSE);
    }
    writer.raw(CLOSE);
    writer.endJsonb(startedAt);
  }
}

/** Returns whether there were any. `repairs`: null if nothing needs repair. */
function writeMembers(
  writer: CopyWriter,
  body: Uint8Array,
  repairs: Repairs | null,
  lists: readonly MemberList[],
): boolean {
  let isFirst = true;
  for (const members of lists) {
    for (let index = 0; index < members.count; index += 1) {
      if (!isFirst) writer.raw(COMMA);
      isFirst = false;
      const [start, end] = [members.startOf(index), members.endOf(index)];
      if (repairs === null) writer.raw(body, start, end);
      else writer.raw(repairJson(body, start, end, repairs));
    }
  }
  return !isFirst;
}
