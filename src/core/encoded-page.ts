/** What the stages hand each other about one page. Types only. */

/** The type of an id column, decided when the first rows arrive. */
export type IdColumnType = 'uuid' | 'text';

/** By the names under which the plan's columns have them decided. */
export type IdColumnTypes = Readonly<Record<string, IdColumnType>>;

/**
 * The compressions that the `Content-Encoding` of a page names, in lower case, in the order in which they were applied
 * (`gzip, br`); `identity` when it names none. The worker undoes them: see body-decoding.ts.
 */
export type ContentEncoding = string;

/** What a page says about itself outside its events. */
export interface PageEnvelope {
  /** The API's own flag; `null` if the page has none. */
  readonly hasMore: boolean | null;
  /** Sent back byte for byte; `null` when absent, null or empty. */
  readonly nextCursor: string | null;
  /** Number of events in the whole data set; `null` if the page does not say. */
  readonly total: number | null;
  /** Number of events on the page, as it says itself; `null` if it does not. */
  readonly returned: number | null;
  /** How long the next cursor lives from its arrival, ms; `null` if the page does not say. */
  readonly cursorLifeMs: number | null;
  /** It names a next cursor, and that is null. */
  readonly saysNoCursor: boolean;
  /** The next cursor goes with the size of page that was asked for; absent: nobody says so. */
  readonly countsPages?: boolean;
  /** Its own cursor names a value that several events may have: it may begin as the page before it did. */
  readonly mayBeginAgain?: boolean;
  /** Its list ends with an empty page: that more follows is said of every page before it, the last one with events included. */
  readonly endsEmpty?: boolean;
  /**
   * That nothing follows is supposed: it is short, or no page has shown yet how a next one is asked for. Its next cursor shows it, or what
   * lies behind it in time.
   */
  readonly supposesEnd?: boolean;
  /** It has words of a failure beside its events: `"success":false`, `"statusCode":500`, a code of its own. */
  readonly speaksOfError: boolean;
}

/** Headers of an answer, names in lower case. */
export interface AnswerHeaders {
  /** The first, where it came several times. */
  get(name: string): string | null;
  /** All of them, with commas between. */
  all(name: string): string | null;
}

/** How a page was asked for, and what came beside its body. */
export interface AskedFor {
  readonly url: URL;
  readonly cursor: string | null;
  /** As it was sent: it falls with each time that the page is asked for again. */
  readonly limit: number;
  readonly headers: AnswerHeaders;
  /** The answer was a 204: there is nothing here, and nothing follows. */
  readonly hasNoContent?: boolean;
}

/** What stands around the records of a page whose source is described: JSON texts, read by the main thread. */
export interface QuotedEnvelope {
  /** The body, with an empty list in place of its records. */
  readonly around: string;
  /** Whether there is a list of records where the description has it. */
  readonly hasList: boolean;
  /** Both are `null` where there is none. They need not be JSON: a page is taken without its broken records. */
  readonly firstRecord: string | null;
  readonly lastRecord: string | null;
  /** How many ids the records have, of a page that begins a list; absent: they were not counted. */
  readonly ids?: number;
}

/** Times of a page's events, epoch milliseconds, microseconds as a fraction. Events without a valid time are left out. */
export interface PageTimes {
  readonly newestMs: number;
  readonly oldestMs: number;
  /** Time of the last event in serving order that has a valid time. */
  readonly lastMs: number;
  /** Newest of the last four: never earlier than where the page ends, even if the last event has a wrong clock. */
  readonly tailNewestMs: number;
  /** True if the valid times never rise in serving order: only then may `lastMs` anchor a walk. */
  readonly descending: boolean;
}

/** The digest of the bytes of a page's first events, two at least. */
export interface PageBeginning {
  readonly events: number;
  readonly digest: string;
}

/** By what the places of a page are counted: see app/walk/places.ts. */
export interface PagePlaces {
  /** Time of each event in serving order, epoch milliseconds; NaN without a valid one. Its buffer is transferred. */
  readonly timesMs: Float64Array<ArrayBuffer>;
  /** Keys of the events at the instant that was asked about, in serving order. A key is a digest of the id, else of the bytes. */
  readonly instantKeys: readonly string[];
  /** Keys of all events, in serving order, where no times tell their order; else empty. */
  readonly keys: readonly string[];
  /** Keys of the events at the end that share the last time. */
  readonly edgeKeys: readonly string[];
  /** By these a page is known that came before: its first 2, 4, 8 … 64 events, and all where they are fewer, from least to most. */
  readonly beginnings: readonly PageBeginning[];
  /** Of the bytes of the first and the last event; `null` when there is none. */
  readonly firstDigest: string | null;
  readonly lastDigest: string | null;
}

/** What a page can be held against when its bytes do not show where its events begin and end. */
export interface ReadingHints {
  /** Events that were asked for, at most. */
  readonly limit: number;
  /** Whether what a page says of its own length (`returned`) is that. */
  readonly countsReturned: boolean;
  /** Whether the API serves no more than what is asked for; `null`: nothing is known of it. */
  readonly mindsLimit: boolean | null;
  /** The exact bytes of events that are known to be broken: the one that was served alone, the one that the page begins with. */
  readonly brokenEvents: readonly Uint8Array[];
  /** Whether it begins with the event that the page before it ended with, as inclusive cursors have it, and how that was. */
  readonly beginsKnown: false | 'well' | 'broken';
  /** It cannot be asked for in smaller parts, because its cursor stands elsewhere with another limit. */
  readonly isFixed: boolean;
  /** Where bytes of the body are left out, because its only event is larger than memory allows; `null`: it is all there. */
  readonly leftOutAt: number | null;
}

/** How a page was read that is no JSON, or no UTF-8, as a whole: every event has its place, some are broken. */
export interface MendedPage {
  /** Of the bytes of all events that are broken or repaired; `null` when only the known one is. The same twice: damaged at the source. */
  readonly digest: string | null;
}

/** What is known of a page whose broken events could not be told from the others. */
export interface UnclearEvents {
  /** How many events probably stand before the first broken one. */
  readonly goodBefore: number;
  /** How many events read well, before and behind it. */
  readonly read: number;
  /** The exact bytes of the page's only event, where it was asked for alone; else `null`. */
  readonly alone: Uint8Array | null;
}

export type AnomalyKind = 'rejected' | 'repaired';

/** Something unusual about one event. A rejected event has no row; a repaired one has a row, with a change. */
export interface PageAnomaly {
  readonly kind: AnomalyKind;
  /** Place of the event in the page's `data`, from 0. */
  readonly position: number;
  /** The id's text as served, cut to 200 characters; `null` if the event has none. */
  readonly eventId: string | null;
  /** Column or JSON field, `event` for the whole event. */
  readonly field: string;
  /** From a closed list, see src/encode/rows/anomaly-reasons.ts; free text only for what PostgreSQL itself refused. */
  readonly reason: string;
  /** The event's exact bytes as served. */
  readonly original: Uint8Array;
}

/** How many of the newest (at most 100) events have a string in the field, and how many of those are UUIDs in their usual spelling. */
export interface IdSample {
  readonly strings: number;
  readonly uuids: number;
}

export interface EncodedPage {
  readonly status: 'encoded';
  /** Complete binary COPY stream: header, rows, trailer. Own ArrayBuffer, transferred: the receiver owns it. */
  readonly rows: ArrayBuffer;
  readonly rowsBytes: number;
  readonly rowCount: number;
  /** What the rows were encoded for; `null` only when there are none. */
  readonly idColumnTypes: IdColumnTypes | null;
  readonly idSample: Readonly<Record<string, IdSample>>;
  /** Elements of `data`: always `rowCount` + `rejectedCount`. */
  readonly servedCount: number;
  readonly rejectedCount: number;
  /** Events with at least one repair. */
  readonly repairedCount: number;
  readonly anomalies: readonly PageAnomaly[];
  readonly envelope: PageEnvelope;
  readonly times: PageTimes | null;
  readonly places: PagePlaces;
  /** Of a described source; else `null`. */
  readonly quoted: QuotedEnvelope | null;
  /** Where each event begins in `body`, in serving order. Its buffer is transferred. */
  readonly starts: Uint32Array<ArrayBuffer>;
  /** `null` for a page that is JSON as a whole. */
  readonly mended: MendedPage | null;
  /** The decompressed page, transferred back and kept until its COPY has committed. */
  readonly body: ArrayBuffer;
  readonly bodyBytes: number;
  readonly decodeMs: number;
  readonly encodeMs: number;
}

/** The body is no page (not JSON, cut, an error object, no events array): the page must be asked for again. */
export interface FaultyPage {
  readonly status: 'faulty';
  /** Closed list; the reader counts retries by it. */
  readonly fault: 'cut-body' | 'not-json' | 'error-object' | 'no-events' | 'undecodable' | 'too-large' | 'stale-cursor';
  /** One sentence for the log: what was expected, what came, at which byte. */
  readonly detail: string;
  /** For an error object: the API's own code, if it gave one. */
  readonly apiCode: string | null;
  /** Everything around the events is well: some of them are not. */
  readonly unclear?: UnclearEvents;
  readonly body: ArrayBuffer;
  readonly bodyBytes: number;
}
