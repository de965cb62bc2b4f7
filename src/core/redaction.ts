/**
 * Text from outside (answers of the API, errors of PostgreSQL and the system), made fit to be shown: on one line, bounded, and
 * without secrets. The log does the same once more to whole lines, where our own words stand: see {@link Redactor.redactOwn}.
 */

const MASK = '[hidden]';
/** A secret that is shorter, or that could be one of our own words, is no reason to take a part out of a text of ours. */
const DISTINCTIVE_LENGTH = 8;
const LONG_LENGTH = 20;
/** A shorter secret stands among other people's words, too. */
const MIN_WORD_LENGTH = 4;
const MAX_CHARACTERS = 2_000;

const BEFORE_PASSWORD = String.raw`([a-z][a-z\d+.-]{0,15}:\/\/[^\s:/?#"'<>]{0,128}:)`;
/** The password in an address. To the last @ of a word: where the password itself has one, nothing of it may stay. */
const IN_ADDRESS = new RegExp(String.raw`${BEFORE_PASSWORD}(?!<)\S{1,512}@`, 'gi');
/** The same in text from outside, where an address may stand in JSON, and an @ behind it. */
const IN_QUOTED_ADDRESS = new RegExp(String.raw`${BEFORE_PASSWORD}[^\s"<>]{1,512}@`, 'gi');
/** The password in a connection string, and a key or credentials behind the name of their header. */
const NAMED =
  /\b((?:ssl)?password|passwd|pwd|(?:[\w-]{0,24}[_-])?api[_-]?key|(?:proxy-)?authorization)(["']?\s{0,4}[=:]\s{0,4}["']?)(?:basic |bearer )?[^\s"'&;,<>[\]]+/gi;

export class Redactor {
  /** Taken out wherever they stand: as they are, and as {@link spellingsOf} has them. */
  readonly #everywhere = new Set<string>();
  /** Taken out where they stand alone: each could be a part of a word, or one of our own. Spelling → where that is. */
  readonly #alone = new Map<string, RegExp>();
  /** Longest first, so that a secret that contains another is replaced whole. */
  #ordered: readonly string[] = [];

  constructor(secrets: readonly string[] = []) {
    for (const secret of secrets) this.add(secret);
  }

  /** From now on `secret` is taken out too. Tokens that have run out stay secrets. */
  add(secret: string): void {
    if (secret === '') return;
    for (const spelling of [secret, ...spellingsOf(secret)]) {
      if (isDistinctive(secret)) this.#everywhere.add(spelling);
      else this.#alone.set(spelling, standingAlone(spelling));
    }
    this.#ordered = [...this.#everywhere].sort((a, b) => b.length - a.length);
  }

  /** Text from outside: secrets out, also where they are words of it, then flat and at most 2,000 characters long. */
  redact(text: string): string {
    let clean = this.#redactKnown(text, IN_QUOTED_ADDRESS);
    for (const pattern of this.#alone.values()) clean = clean.replaceAll(pattern, MASK);
    return shorten(flatten(clean), MAX_CHARACTERS);
  }

  /** A text of our own, in which texts from outside stand: a secret that could be one of our words is taken out only when it is all. */
  redactOwn(text: string): string {
    return this.#alone.has(text) ? MASK : this.#redactKnown(text, IN_ADDRESS);
  }

  #redactKnown(text: string, inAddress: RegExp): string {
    const masked = this.#ordered.reduce((rest, spelling) => rest.replaceAll(spelling, MASK), text);
    return masked.replaceAll(inAddress, `$1${MASK}@`).replaceAll(NAMED, `$1$2${MASK}`);
  }
}

/** As JSON spells it (log lines are JSON; PHP with a backslash before each slash), and as URLs and forms do, some of them in small letters. */
function spellingsOf(secret: string): readonly string[] {
  const inJson = JSON.stringify(secret).slice(1, -1);
  return [inJson, inJson.replaceAll('/', '\\/'), encodeURI(secret), ...inAddress(secret)];
}

/** How a value is spelled in an address: as in a path, as in a query, and as in a form. */
export function inAddress(value: string): readonly string[] {
  const encoded = encodeURIComponent(value);
  const inForm = new URLSearchParams([['', value]]).toString().slice(1);
  return [encoded, encoded.replaceAll("'", '%27'), inForm].flatMap((spelling) => [
    spelling,
    spelling.replaceAll(/%[\dA-F]{2}/g, (code) => code.toLowerCase()),
  ]);
}

/** No word of any text of ours. */
function isDistinctive(secret: string): boolean {
  return (
    secret.length >= LONG_LENGTH || (secret.length >= DISTINCTIVE_LENGTH && /\d/.test(secret) && /\D/.test(secret))
  );
}

/** As a word; a short one only in quotes, or as the value of something. */
function standingAlone(secret: string): RegExp {
  const escaped = secret.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  return secret.length >= MIN_WORD_LENGTH
    ? new RegExp(`(?<![\\p{L}\\d_-])${escaped}(?![\\p{L}\\d_-])`, 'gu')
    : new RegExp(`(?<=["'=:])${escaped}(?=["'&;,\\s]|$)`, 'gu');
}

/** Line ends, other control characters, and what turns the direction of writing: all that could make a text look like another. */
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** The text on one line: what cannot be seen is written out (`\n`, `\u001b`). */
export function flatten(text: string): string {
  return text.replaceAll(CONTROLS, (character) => {
    const inJson = JSON.stringify(character).slice(1, -1);
    return inJson === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : inJson;
  });
}

/** At most `maxCharacters`, never half of one, and an ellipsis where it was cut. */
export function shorten(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text;
  // By code points: a cut between the halves of a surrogate pair makes half a character.
  const characters = Array.from(text.slice(0, maxCharacters * 2)).slice(0, maxCharacters);
  return `${characters.join('')}…`;
}

const MAX_EXCERPT_CHARACTERS = 200;
const utf8 = new TextDecoder('utf-8');

/** Beginning of an answer for a message. Secrets are taken out before the cut, so that no half of one stays. */
export function excerpt(body: Uint8Array, secrets: Redactor): string {
  const text = utf8.decode(body).replace(/\s+/gu, ' ').trim();
  return shorten(secrets.redact(text), MAX_EXCERPT_CHARACTERS);
}
