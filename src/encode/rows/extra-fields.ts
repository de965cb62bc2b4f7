import type { EventSlices, Members } from '../scan/event-slices.ts';
import { SESSION_BITS } from '../scan/fields.ts';
import { type Repairs, repairJson } from '../scan/json-strings.ts';
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
  readonly #kept: Members = [];
  readonly #keptOfSession: Members = [];
  #hasSession = false;

  clear(): void {
    this.#kept.length = 0;
    this.#keptOfSession.length = 0;
    this.#hasSession = false;
  }

  /** A field goes into `extra` as it is, one of the event's `session` into `extra.session`. */
  keep(slices: EventSlices, field: number): void {
    const list = (SESSION_BITS & (1 << field)) === 0 ? this.#kept : this.#keptOfSession;
    list.push(slices.of(field).keyStart, slices.memberEndOf(field));
  }

  /** `extra.session` is there, be it as `{}`: no column shows that the event had a session. */
  keepSession(): void {
    this.#hasSession = true;
  }

  /** Writes the column `extra`: null when there is nothing. */
  write(writer: CopyWriter, body: Uint8Array, slices: EventSlices, repairs: Repairs): void {
    const hasSession = this.#hasSession || this.#keptOfSession.length > 0 || slices.sessionOthers.length > 0;
    if (!hasSession && this.#kept.length === 0 && slices.others.length === 0) {
      writer.null();
      return;
    }
    const startedAt = writer.startJsonb();
    writer.raw(OPEN);
    const repaired = slices.unstorable ? repairs : null;
    const hasMembers = writeMembers(writer, body, repaired, [...this.#kept, ...slices.others]);
    if (hasSession) {
      if (hasMembers) writer.raw(COMMA);
      writer.raw(OPEN_SESSION);
      writeMembers(writer, body, repaired, [...this.#keptOfSession, ...slices.sessionOthers]);
      writer.raw(CLOSE);
    }
    writer.raw(CLOSE);
    writer.endJsonb(startedAt);
  }
}

/** Returns whether there were any. `repairs`: null if nothing needs repair. */
function writeMembers(writer: CopyWriter, body: Uint8Array, repairs: Repairs | null, members: Members): boolean {
  for (let at = 0; at < members.length; at += 2) {
    if (at > 0) writer.raw(COMMA);
    const [start, end] = [members[at] ?? 0, members[at + 1] ?? 0];
    if (repairs === null) writer.raw(body, start, end);
    else writer.raw(repairJson(body, start, end, repairs));
  }
  return members.length > 0;
}
