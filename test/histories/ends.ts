/** Each end of a command, held against the law. */
import type { ApiModel } from './api-model.ts';
import type { CommandEnd, Exported } from './commands.ts';
import type { Place } from './event-model.ts';
import type { StartStep } from './history.ts';
import {
  checkComplete,
  checkRejections,
  checkRows,
  lookbackMs,
  mayBeRepeated,
  uncovered,
  type Breach,
  type Found,
  type RunBegin,
} from './law.ts';
import type { Memory } from './memory.ts';
import type { StoredRun } from './target.ts';

/** So many events at least show that a source is not understood. */
const EARLY_EVENTS = 100;
/** Up to so many rejected events, and up to such a part of all, are nothing to ask about. */
const REJECTED_EVENTS = 20;
const REJECTED_SHARE = 0.05;

interface EndedStart {
  readonly step: StartStep;
  readonly end: CommandEnd;
  /** The newest run in the database. */
  readonly newest: RunBegin | null;
  readonly found: Found;
  readonly everHad: readonly Place[];
  readonly memory: Memory;
}

export function checkStart(ended: EndedStart): Breach | null {
  const { end, found, everHad, memory } = ended;
  if (end.code === -1) return { kind: 'hangs', text: end.message };
  if (end.code === 1 || end.code === 6) return { kind: `code ${end.code}`, text: end.message };
  if (end.code === 2 && !isRightlyRefused(ended)) return { kind: 'code 2', text: end.message };
  if (end.code === 4 && isCalm(ended)) return { kind: 'code 4 without a fault', text: end.message };
  memory.hadUuids ||= found.isUuid;
  const wrong =
    checkRows(everHad, found) ??
    checkRejections(everHad, found, { rules: memory.hadRules, uuidColumn: memory.hadUuids });
  if (wrong !== null) return wrong;
  if (end.code === 0) return checkSuccess(ended);
  return end.code === 5 ? checkAlarm(ended) : null;
}

/** What a person asked for cannot be, or would be done wrongly. */
function isRightlyRefused({ end: { message }, step, newest, found }: EndedStart): boolean {
  if (/unfinished run that began|another source/.test(message)) return true;
  // Its advice may name a flag.
  if (/nothing but rejected events/i.test(message)) {
    const isUuid = found.isUuid || step.flags.idType === 'uuid';
    // Beside what the first pages had, something may be acceptable.
    const isEarly = found.loaded === 0 && found.served >= EARLY_EVENTS;
    return newest !== null && (isEarly || !hasAcceptable(newest, { isUuid }));
  }
  if (/--id-type/.test(message)) return step.flags.idType !== undefined;
  if (/nondeterministic collation/.test(message)) return found.isCaseBlind;
  return false;
}

/** The run could have got a row out of what the API had. */
function hasAcceptable({ places, range }: RunBegin, { isUuid }: Pick<Found, 'isUuid'>): boolean {
  return [...places].some(
    ({ id, ownMs }) =>
      id !== null &&
      (!isUuid || /^[\da-f]{8}-/.test(id)) &&
      (range === null || (ownMs >= range.sinceMs && ownMs <= range.untilMs)),
  );
}

/** Nothing went wrong that could make a start give up. */
function isCalm({ step, end: { message }, newest, found }: EndedStart): boolean {
  const { faults, flags, end } = step;
  if (faults.length > 0 || end.how !== 'runs' || newest === null) return false;
  const { traits, behind, api } = newest;
  if (traits.cursorLifeMs !== null || traits.cacheMs > 0 || mayBeRepeated(api, message)) return false;
  // The API has nothing any more where it had something: nobody can tell that from an answer that fails.
  if (api.lostCount > newest.lostBefore) return false;
  if (behind !== null && api.newestOwnMs < behind.newestOwnMs - lookbackMs(newest.flags)) return false;
  return flags.maxRejected !== '5' || found.rejections.length <= 5;
}

function checkSuccess({ step, newest, found, memory }: EndedStart): Breach | null {
  if (newest?.isComplete !== true)
    return { kind: '0 without a complete run', text: `newest run: ${newest?.runId ?? 'none'}` };
  // Who asks for everything, or for more of the past, is not served by the rest of a run that takes less.
  const asked = { ...newest, flags: step.flags, behind: step.flags.full === true ? null : newest.behind };
  const forgiven = newest.behind === asked.behind ? memory.forgivenIn(newest) : new Set<string>();
  const missing = checkComplete(asked, found, forgiven);
  newest.excused = asked.excused;
  return missing ?? checkIdType(step, found) ?? checkRejectedShare(newest, found, step.flags.maxRejected);
}

/** What was asked for is obeyed or refused. */
function checkIdType({ flags: { idType } }: StartStep, { rows, isUuid }: Found): Breach | null {
  if (idType === undefined || rows.size === 0 || isUuid === (idType === 'uuid')) return null;
  return { kind: '0 with another id type', text: `--id-type ${idType} was asked for` };
}

/** Success is not accounting: where much was rejected, 0 needs a person's word. */
function checkRejectedShare(run: RunBegin, found: Found, allowed: string | undefined): Breach | null {
  // What was refused once and has a row by now is no loss.
  const rowless = uncovered(run.places, { ...found, rejections: [] }).length;
  const rejected = Math.min(rowless, found.rejections.filter(({ runId }) => runId === run.runId).length);
  const text = `${rejected} events rejected of about ${run.places.size}`;
  if (allowed === '5') return rejected > 5 ? { kind: '0 above --max-rejected', text } : null;
  if (allowed !== undefined || run.behind !== null || run.range !== null) return null;
  // What a run was served again weighs again.
  const isMuch = rejected > REJECTED_EVENTS && rejected > REJECTED_SHARE * Math.max(run.places.size, found.served);
  const isAll = rejected > 0 && rejected >= run.places.size;
  return isMuch || isAll ? { kind: '0 with much rejected', text } : null;
}

/** Code 5 needs something that is missing, tampered with, or rejected. */
function checkAlarm({ step, end, newest, found, memory }: EndedStart): Breach | null {
  if (newest === null || memory.isTampered || mayBeRepeated(newest.api, end.message)) return null;
  // A count that the API gave before it has forgotten events, and that nobody can ask for again: the answers come out of its cache.
  if (newest.traits.cacheMs > 0 && newest.api.lostCount > newest.lostBefore) return null;
  // What an API counts and never serves is missing in this run, though earlier ones have brought it.
  if (step.faults.some(({ times }) => times === null)) return null;
  const wanted = newest.api.places.filter(
    (place) => newest.range === null || (place.ownMs >= newest.range.sinceMs && place.ownMs <= newest.range.untilMs),
  );
  if (uncovered(wanted, found).length > 0) return null;
  const rejected = found.rejections.filter(({ runId }) => runId === newest.runId).length;
  // Events that are alike are one rejection, so its number may be less than that of the places.
  if (rejected > REJECTED_EVENTS || (rejected > 0 && !hasAcceptable(newest, found))) return null;
  // An incremental run is served few places, and all of these may be rejected.
  if (rejected > 0 && end.message.includes('(100 %)')) return null;
  if (step.flags.maxRejected === '5' && rejected > 0) return null;
  return { kind: '5 with nothing missing', text: end.message };
}

interface EndedVerify {
  readonly end: CommandEnd;
  /** The source that it was asked about. */
  readonly model: ApiModel;
  readonly found: Found;
  /** The newest run in the database. */
  readonly run: StoredRun | null;
  readonly memory: Memory;
}

export function checkVerify({ end, model, found, run, memory }: EndedVerify): Breach | null {
  if (end.code === 1) return { kind: 'verify: code 1', text: end.message };
  const last = memory.lastComplete(model, { withRange: true });
  if (end.code === 5) {
    if (last === null || memory.isTampered || found.rejections.length > 0) return null;
    // An unfinished run behind the complete one proves nothing yet.
    if (run?.status !== 'complete' && /is not complete/.test(end.message)) return null;
    const isShort = uncovered(model.places, found).length > 0;
    return isShort ? null : { kind: 'verify: 5 with nothing missing', text: end.message };
  }
  if (end.code !== 0) return null;
  if (last === null) return { kind: 'verify: 0 for a source without a complete run', text: end.message };
  const missing = checkComplete(last, found, memory.forgivenIn(last));
  if (missing !== null) return { kind: 'verify: 0 with events missing', text: `${missing.text}\n${end.message}` };
  return checkNews(last, model, found, end);
}

/** Where a total tells of it, `verify` sees what has come since the run. */
function checkNews(last: RunBegin, model: ApiModel, found: Found, end: CommandEnd): Breach | null {
  const { traits, proof, range, lostBefore } = last;
  const isBlind = traits.shape !== 'live' || traits.cacheMs > 0 || proof === 'api-end' || range !== null;
  if (isBlind || model.lostCount > lostBefore) return null;
  const news = uncovered(
    model.places.filter((place) => !last.places.has(place)),
    found,
  );
  if (news.length === 0) return null;
  return { kind: 'verify: 0 although there is news', text: `${news.length} events are new\n${end.message}` };
}

interface EndedExport {
  readonly end: Exported;
  readonly found: Found;
  readonly run: StoredRun | null;
  readonly memory: Memory;
}

export function checkExport({ end, found, run, memory }: EndedExport): Breach | null {
  if (end.code === 1) return { kind: 'export-ids: code 1', text: end.message };
  const isFinished = run?.status === 'complete';
  if (end.code !== 0) {
    // Rows that somebody has taken away are not in the list.
    const isProven = isFinished && !memory.isTampered && (run.proof === 'count' || run.proof === 'api-end');
    return isProven && end.code === 7 ? { kind: 'export-ids: 7 for a finished run', text: end.message } : null;
  }
  if (!isFinished) return { kind: 'export-ids: 0 for an unfinished run', text: end.message };
  const ids = [...(end.ids ?? [])].sort();
  const isSame = JSON.stringify(ids) === JSON.stringify([...found.rows.keys()].sort());
  return isSame ? null : { kind: 'export-ids: another list', text: `${ids.length} ids for ${found.rows.size} rows` };
}
