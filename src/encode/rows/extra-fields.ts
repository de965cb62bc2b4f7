import type { CopyWriter } from './copy-writer.ts';
import { type EventSlices } from '../scan/event-slices.ts';
import { MemberList } from '../scan/member-list.ts';
import type { Repairs } from '../scan/json-strings.ts';

const ENCODER = new TextEncoder();
const OPEN = ENCODER.encode('{');
const CLOSE = ENCODER.encode('}');
const COMMA = ENCODER.encode(',');
const OPEN_SESSION = ENCODER.encode('"session":{');

/**
 * Gathers what goes into `extra` of one event, as the exact members of the body: every field that has no column, and
 * every field whose column does not say all of it. `event-rebuilding.ts` reads it back; what a field's presence here
 * means is written there.
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

  /** A field of the event goes into `extra` as it is. */
  keep(slices: EventSlices, field: number): void {
    this.#kept.add(slices.memberStartOf(field), slices.memberEndOf(field));
  }

  /** A field of the event's `session` goes into `extra.session` as it is. */
  keepOfSession(slices: EventSlices, field: number): void {
    this.#hasSession = true;
    this.#keptOfSession.add(slices.memberStartOf(field), slices.memberEndOf(field));
  }

  /** `extra.session` is there, if only as `{}`: no column shows that the event had a session. */
  keepSession(): void {
    this.#hasSession = true;
  }

  /** Writes the column `extra`: null when there is nothing. */
  write(writer: CopyWriter, body: Uint8Array, slices: EventSlices, repairs: Repairs): void {
    const hasSession = this.#hasSession || slices.sessionOthers.count > 0;
    if (!hasSession && this.#kept.count === 0 && slices.others.count === 0) {
      writer.null();
      return;
    }
    const startedAt = writer.startJsonb();
    writer.raw(OPEN, 0, 1);
    let written = writeMembers(writer, body, slices, this.#kept, 0, repairs);
    written = writeMembers(writer, body, slices, slices.others, written, repairs);
    if (hasSession) {
      if (written > 0) writer.raw(COMMA, 0, 1);
      writer.raw(OPEN_SESSION, 0, OPEN_SESSION.length);
      const ofSession = writeMembers(writer, body, slices, this.#keptOfSession, 0, repairs);
      writeMembers(writer, body, slices, slices.sessionOthers, ofSession, repairs);
      writer.raw(CLOSE, 0, 1);
    }
    writer.raw(CLOSE, 0, 1);
    writer.endJsonb(startedAt);
  }
}

function writeMembers(
  writer: CopyWriter,
  body: Uint8Array,
  slices: EventSlices,
  members: MemberList,
  alreadyWritten: number,
  repairs: Repairs,
): number {
  for (let index = 0; index < members.count; index += 1) {
    if (alreadyWritten + index > 0) writer.raw(COMMA, 0, 1);
    if (slices.unstorable) writer.repairedJson(body, members.startOf(index), members.endOf(index), repairs);
    else writer.raw(body, members.startOf(index), members.endOf(index));
  }
  return alreadyWritten + members.count;
}
