/** A source as the job needs it, made from its description. */
import { createHash } from 'node:crypto';
import { describedWire } from '../../api/described-wire.ts';
import type { PageWire } from '../../api/page-wire.ts';
import type { Environment } from '../../core/config.ts';
import type { ColumnPlan } from '../../core/column-plan.ts';
import { ConfigurationError, KeyRefusedError } from '../../core/errors.ts';
import { planColumns } from '../../source/plan-columns.ts';
import type { Description } from '../../source/description.ts';
import { isByTime } from '../../source/order.ts';
import { fillIn, type FilledDescription } from '../../source/fill-in.ts';
import { GUARANTEE_ROWS, guaranteesOf } from '../../source/guarantees.ts';
import { canBeIncremental } from '../../source/order.ts';
import { readAnswer, type AnswerFault } from '../../source/read-answer.ts';
import type { ReadAnswer } from '../../threads/page-encoder.ts';

/** What the list of a source is like; that of DataSync unless given. */
export interface ListKind {
  readonly isOldestFirst: boolean;
  /** A run can take what is new alone. */
  readonly canBeIncremental: boolean;
}

export interface DescribedSource {
  readonly name: string;
  /** Which data set it is: what the runs of the source remember. Holds no secret. */
  readonly address: string;
  readonly url: URL;
  readonly description: Description;
  /** Of the environment: they appear in no message. */
  readonly secrets: readonly string[];
  readonly plan: ColumnPlan;
  /** What a run of it promises, in a few words each. */
  readonly card: Readonly<Record<string, string>>;
  /** Where its name is not that of its table. */
  readonly table: string | undefined;
  /** As the description says it. */
  readonly order: Description['order'];
  readonly list: ListKind;
  /** Which bounds of time the API takes. */
  readonly bounds: { readonly since: boolean; readonly until: boolean };
  /** How far outside of its bounds a page may reach. */
  readonly widenedMs: number;
  /** The time of a page's last record asks for the next page. */
  readonly cursorsAreTimes: boolean;
  /** Records after which a chain of pages ends in silence; Infinity: it does not. */
  readonly cap: number;
  /** Whether an answer says how many records the list has. */
  readonly hasTotal: boolean;
  /** Most records of a page; `null` where the request does not say how many it wants. */
  readonly maxPage: number | null;
  wire(userAgent: string): PageWire;
  /** See {@link ReadAnswer}; one for each job. */
  answerReader(): ReadAnswer;
}

/** No page that goes on by a cursor is asked for with less. */
const FEWEST = 2;
const HASH_CHARACTERS = 8;

/** @throws ConfigurationError for variables that are not set */
export function describedSource(description: Description, environment: Environment): DescribedSource {
  const filled = fillIn(description, environment);
  const guarantees = guaranteesOf(description);
  const { name, order, size, time } = description;
  return {
    name,
    address: addressOf(filled),
    url: filled.url,
    description,
    secrets: filled.secrets,
    plan: planColumns(description),
    card: Object.fromEntries(GUARANTEE_ROWS.map(([key, row]) => [row.replaceAll(' ', '_'), guarantees[key].answer])),
    table: description.table,
    order,
    list: { isOldestFirst: order === 'oldest-first', canBeIncremental: canBeIncremental(description) },
    bounds: { since: time?.since !== undefined, until: time?.until !== undefined },
    // By a step, after rounding.
    widenedMs: 2 * (time?.granularity ?? 1),
    cursorsAreTimes: isByTime(description),
    cap: time?.cap ?? Infinity,
    hasTotal: description.total !== undefined,
    maxPage: size?.max ?? null,
    wire: (userAgent) => describedWire(filled, userAgent),
    answerReader: () => answerReader(filled),
  };
}

/**
 * Two starts must agree on all that selects or reads records, with what its variables stand for: another repository is another
 * list. How the key is sent, and how fast is asked, may change.
 */
function addressOf({ description, url, headers, query, body }: FilledDescription): string {
  const dataSet = { ...description, auth: undefined, limits: undefined, filled: [url.href, headers, query, body] };
  const digest = createHash('sha256').update(JSON.stringify(dataSet)).digest('hex').slice(0, HASH_CHARACTERS);
  return `${description.url} (${description.name}, data set ${digest})`;
}

function answerReader(source: FilledDescription): ReadAnswer {
  let isUnderstood = false;
  let isMoreKnown = false;
  let mostRecords = 0;
  /** Of the first answer that was not understood. */
  let firstLimit: number | null = null;
  return (asked, quoted, records) => {
    const read = readAnswer(source, asked, quoted, records, { isMoreKnown, mostRecords });
    if (!('kind' in read)) {
      mostRecords = Math.max(mostRecords, records);
      isUnderstood ||= records > 0;
      isMoreKnown ||= read.hasMore === true;
      return read;
    }
    if (read.kind === 'unclear' && !isUnderstood) {
      // The same page for fewer records: several windows may each have asked for their first one.
      const isAskedAgain = firstLimit !== null && (asked.limit < firstLimit || asked.limit <= FEWEST);
      if (isAskedAgain) throw wrongDescription(source, read.why);
      firstLimit ??= asked.limit;
    }
    return faultOf(source, read);
  };
}

function faultOf({ description: { name } }: FilledDescription, fault: AnswerFault): ReturnType<ReadAnswer> {
  switch (fault.kind) {
    case 'stale-cursor':
      return { fault: 'stale-cursor', detail: `the API says that the cursor is stale (${fault.code ?? 'no code'})` };
    case 'record-gone':
      return { fault: 'stale-cursor', detail: fault.why };
    case 'key-refused':
      throw new KeyRefusedError(
        `The API of the source ${name} does not take the key (${fault.code ?? 'no code'}). What was loaded is safe: a start with a key that is taken goes on.`,
      );
    case 'error':
      return { fault: 'error-object', detail: `The API answered with an error: ${fault.code ?? 'without a code'}` };
    case 'unclear':
      return { fault: 'error-object', detail: fault.why };
    case 'foreign-link':
      throw new ConfigurationError(`The source ${name}: ${fault.why}. What was loaded is safe.`);
  }
}

function wrongDescription({ description: { name } }: FilledDescription, why: string): ConfigurationError {
  return new ConfigurationError(
    `The source ${name} is not as its description says: ${why}. Nothing was loaded. npm run source -- check shows what a description can say.`,
  );
}
