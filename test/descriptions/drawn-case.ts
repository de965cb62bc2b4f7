/** One case as plain data: a description, the API behind it with what no description says, its records, and what happens. */
import type { JsonObject } from '../support/vendors/vendor.ts';

export type Path = readonly string[];
export type ColumnType = 'text' | 'uuid' | 'bigint' | 'numeric' | 'boolean' | 'timestamptz' | 'jsonb';

export interface CountWords {
  readonly param: string;
  readonly first: number;
  readonly step: number;
}

export interface LastRecordWords {
  readonly path: Path;
  readonly param: string;
  readonly inclusive?: boolean;
  readonly within?: { readonly count: CountWords };
}

/** Where a request says something. */
export type RequestPlace = { readonly param: string } | { readonly bodyPath: Path };
/** Where an answer says something. */
export type AnswerPlace = { readonly path: Path } | { readonly header: string };

/** One of the four is there. */
export interface NextWords {
  readonly token?: AnswerPlace & RequestPlace & { readonly life?: string };
  readonly link?: 'header' | { readonly path: Path };
  readonly lastRecord?: LastRecordWords;
  readonly count?: CountWords;
}

/** One of the four is there. */
export interface AuthWords {
  readonly bearer?: string;
  readonly header?: { readonly name: string; readonly value: string };
  readonly basic?: { readonly user: string; readonly password: string };
  readonly query?: { readonly param: string; readonly value: string };
}

export interface TimeWords {
  readonly path: Path;
  readonly since?: string;
  readonly until?: string;
  readonly format: 'iso' | 's' | 'ms';
  readonly granularity: string;
  readonly cap?: number;
}

export type Order = 'newest-first' | 'oldest-first' | 'none';
export type More =
  'next-absent' | 'short-page' | { readonly path: Path; readonly is?: boolean | string } | { link: 'next' };

/** What the YAML file says. */
export interface Words {
  readonly name: string;
  readonly url: string;
  readonly method?: 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: JsonObject;
  readonly auth?: AuthWords;
  readonly records: Path;
  readonly size?: RequestPlace & { readonly max: number };
  readonly next: NextWords;
  readonly more?: More;
  readonly order?: Order;
  readonly time?: TimeWords;
  readonly id?: Path;
  readonly version?: Path;
  readonly columns?: Readonly<Record<string, { readonly path: Path; readonly type: ColumnType }>>;
  readonly total?: AnswerPlace;
  readonly limits?: JsonObject;
  readonly errors?: {
    readonly path: Path;
    readonly code?: Path;
    readonly stale: readonly string[];
    readonly refusedKey: readonly string[];
    readonly empty: readonly string[];
  };
}

/** What the API does, and its documentation leaves open. */
export interface ApiTraits {
  /** Records of a page where nobody asks for a number. */
  readonly ownSize: number;
  /** Every so many pages are shorter than they could be, or have nothing; 0: none. */
  readonly shortEvery: number;
  readonly emptyEvery: number;
  /** How the absence of a token or an address is written. */
  readonly absence: 'null' | 'absent' | 'empty';
  /** The last page has a token, an address or a Link although its flag says that it is the last. */
  readonly isLeftOver: boolean;
  readonly sinceInclusive: boolean;
  readonly untilInclusive: boolean;
  /** A token stands for the bounds that it was given under, whatever comes with it. */
  readonly tokenKeepsBounds: boolean;
  readonly tokenIsNumber: boolean;
  readonly total: 'all' | 'asked';
  readonly totalIsText: boolean;
  readonly staleStatus: 400 | 410;
  /** An answer without records is an error by a code that means so, where the description has one. */
  readonly emptyIsError: boolean;
  readonly linkIsRelative: boolean;
  /** Links repeat the key, where it is a parameter. */
  readonly linkHasKey: boolean;
  readonly isCompressed: boolean;
  /** What else stands around the records. */
  readonly noise: boolean;
  readonly recordsAtEnd: boolean;
  readonly latencyMs: number;
  /** The order is not the one that the description says. */
  readonly isUnordered: boolean;
}

export interface DataTraits {
  readonly count: number;
  /** Steps of the granularity between instants, and records of one instant. */
  readonly gap: number;
  readonly perInstant: number;
  readonly ids: 'number' | 'big-number' | 'text' | 'unicode' | 'uuid' | 'digits';
  /** Times have more digits than the granularity says. */
  readonly isFiner: boolean;
  /** Where the format allows it: times as texts, or with an offset. */
  readonly timeIsText: boolean;
  /** Every so many records have no time; 0: none. */
  readonly noTimeEvery: number;
  /** Every so many records are none, or have no id; 0: none. */
  readonly junkEvery: number;
  /** Every so many records are the ones before them once more, where they have no id. */
  readonly equalEvery: number;
}

export const FAULTS = [
  '429',
  '429-wait',
  'later',
  '500',
  '503',
  'reset',
  'cut',
  'html-200',
  'html-502',
  'empty-object',
  'dead',
  'foreign-link',
  'error-200',
] as const;
export type FaultKind = (typeof FAULTS)[number];

export interface DrawnFault {
  readonly kind: FaultKind;
  /** The first request that it strikes, and how many; `null`: all that follow. */
  readonly nth: number;
  readonly times: number | null;
}

/** Before the answer to a request, or between starts where that is 0. */
export interface Change {
  readonly atRequest: number;
  readonly add: number;
  readonly remove: number;
  readonly touch: number;
}

export interface Start {
  readonly flags: {
    readonly concurrency: number;
    readonly pageSize: number | null;
    readonly full: boolean;
    readonly mergeInterval: boolean;
  };
  /** The key is not the one that the API takes. */
  readonly hasWrongKey: boolean;
  readonly faults: readonly DrawnFault[];
  readonly changes: readonly Change[];
  readonly end: { readonly how: 'runs' | 'drain' | 'kill'; readonly atRequest: number; readonly delayMs: number };
}

export interface Case {
  /** Values of records, and whatever else needs no drawing of its own. */
  readonly salt: number;
  readonly words: Words;
  /** The word whose path is wrong in what the program is given. */
  readonly wrong: 'records' | 'next' | 'more' | 'total' | null;
  readonly api: ApiTraits;
  readonly data: DataTraits;
  readonly starts: readonly Start[];
}

/** What stands in the environment for the variables of every description. */
export const KEY = 'the-key-of-nobody-7f3';
export const USER = 'somebody@example.com';
