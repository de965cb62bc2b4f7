/**
 * The law: the job loads exactly what the target accepts, value by value, and every other event is an anomaly; or it ends with
 * code 2 and has changed nothing. Nothing that others have put there is gone or changed.
 */
import type { ScriptedEvent } from '../support/scripted-events.ts';
import type { Asked } from './asked-target.ts';
import type { Rejection, Rows } from './built-target.ts';
import type { OnConflict } from './drawing.ts';

export interface Breach {
  readonly kind: string;
  readonly text: string;
}

/** What was seen after a load that is complete. */
export interface Loaded {
  readonly found: Rows;
  /** Rows of the copy that was asked. */
  readonly accepted: Rows;
  readonly asked: readonly Asked[];
  /** Of all loads so far. */
  readonly events: readonly ScriptedEvent[];
  readonly rejections: readonly Rejection[];
  readonly onConflict: OnConflict;
  /** Whether a trigger leaves the event out without an error, also where its id has a row. */
  readonly isLeftOut: (event: ScriptedEvent) => boolean;
  /** Ids that an earlier load may have rejected. */
  readonly mayBeRejected: ReadonlySet<string>;
}

const SHOWN = 4;

function some(things: readonly string[]): string {
  return `${things.length}: ${things.slice(0, SHOWN).join('\n    ')}`;
}

/** @returns how the rows differ; `null` when they do not */
export function differentRows(found: Rows, expected: Rows, idsOfEvents: ReadonlySet<string>): Breach | null {
  const wrong: { kind: string; text: string }[] = [];
  const note = (id: string, what: string, text: string): void => {
    wrong.push({ kind: idsOfEvents.has(id) ? `rows ${what}` : `rows of others ${what}`, text: `${id}: ${text}` });
  };
  for (const [id, row] of expected) {
    const is = found.get(id);
    if (is === undefined) note(id, 'are missing', row);
    else if (is !== row) note(id, 'have other values', `${is}, and the target made ${row}`);
  }
  for (const [id, row] of found) if (!expected.has(id)) note(id, 'that the target does not accept are there', row);
  const kind = [...new Set(wrong.map((one) => one.kind))].join(', ');
  return wrong.length === 0 ? null : { kind, text: some(wrong.map(({ text }) => text)) };
}

export function checkLoaded(loaded: Loaded): Breach | null {
  const idsOfEvents = new Set(loaded.events.map(({ id }) => String(id)));
  return differentRows(loaded.found, loaded.accepted, idsOfEvents) ?? checkAnomalies(loaded);
}

/** Ids of events that may be anomalies: they were refused once, or have no row. */
export function rejectableIds(
  asked: readonly Asked[],
  accepted: Rows,
  isLeftOut: (event: ScriptedEvent) => boolean,
): ReadonlySet<string> {
  return new Set(
    asked
      .filter(
        ({ event, answer, wasRefused }) =>
          wasRefused || answer === 'unfit' || !accepted.has(String(event['id'])) || isLeftOut(event),
      )
      .map(({ event }) => String(event['id'])),
  );
}

function checkAnomalies({
  found,
  asked,
  events,
  rejections,
  onConflict,
  mayBeRejected,
  ...rest
}: Loaded): Breach | null {
  const rejected = new Map(rejections.map(({ id, reason }) => [id ?? '', reason]));
  const ids = events.map(({ id }) => String(id));
  const silent = [...new Set(ids)].filter((id) => !found.has(id) && !rejected.has(id));
  if (silent.length > 0) return { kind: 'events are neither rows nor anomalies', text: some(silent) };
  const may = new Set([...mayBeRejected, ...rejectableIds(asked, rest.accepted, rest.isLeftOut)]);
  const untrue = [...rejected].filter(([id]) => !may.has(id)).map(([id, reason]) => `${id}: ${reason}`);
  if (untrue.length > 0) return { kind: 'events that the target accepts are anomalies', text: some(untrue) };
  if (onConflict === 'ignore') return null;
  const once = new Map<string, number>();
  for (const { event } of asked) once.set(String(event['id']), (once.get(String(event['id'])) ?? 0) + 1);
  const unsaid = asked
    .filter(({ event, answer }) => answer === 'refused' && once.get(String(event['id'])) === 1)
    .map(({ event, sqlState }) => ({ id: String(event['id']), sqlState }))
    .filter(({ id }) => !rejected.has(id))
    .map(({ id, sqlState }) => `${id} (${sqlState ?? ''})`);
  return unsaid.length === 0 ? null : { kind: 'refused changes are no anomalies', text: some(unsaid) };
}
