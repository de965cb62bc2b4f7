/** A description from the text of its file. Every problem is found at once, with its place and with what would be right. */
import { LineCounter, isMap, isNode, isScalar, isSeq, parseDocument, visit, type Document, type Node } from 'yaml';
import type { z } from 'zod';
import { findingsIn, placeholderFindings } from './description-rules.ts';
import type { Finding } from './finding.ts';
import { descriptionSchema, type Description } from './description.ts';
import { meaningOf, wordsAt } from './known-words.ts';
import { meantWord } from './mistyped.ts';

export interface Problem {
  /** From 1. */
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export interface ReadDescription {
  /** `null` when there are problems. */
  readonly description: Description | null;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

type Issue = z.core.$ZodIssue;

/** What a mistyped word may look like; anything else may be a key, and is not repeated. */
const HARMLESS = /^(?:[A-Za-z][A-Za-z_-]{0,30}|[A-Za-z]\w{0,11})$/;

export function readDescription(text: string): ReadDescription {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const at = (offset: number, message: string): Problem => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col), message };
  };
  const broken = [...document.errors, ...document.warnings].map(({ code, message, pos }) =>
    at(pos[0], yamlMessage(code, message)),
  );
  if (broken.length > 0) return failed(broken);
  keepAsWritten(document);
  const unreadable = unreadableIn(document, at);
  if (unreadable.length > 0) return failed(unreadable);
  let raw: unknown;
  try {
    raw = document.toJS();
  } catch (error) {
    return failed([at(0, error instanceof Error ? error.message : String(error))]);
  }
  const place = ({ path, message }: Finding): Problem =>
    at(offsetOf(document, path), path.length === 0 ? message : `${path.join('.')}: ${message}`);
  const parsed = descriptionSchema.safeParse(raw);
  const found = parsed.success
    ? [...placeholderFindings(raw), ...findingsIn(parsed.data)]
    : [
        ...placeholderFindings(raw),
        ...withoutEchoes(parsed.error.issues).flatMap((issue) => issueFindings(issue, raw)),
      ];
  const problems = found.filter(({ isWarning }) => !isWarning).map(place);
  return {
    description: parsed.success && problems.length === 0 ? parsed.data : null,
    problems: inOrder(problems),
    warnings: inOrder(found.filter(({ isWarning }) => isWarning).map(place)),
  };
}

function failed(problems: readonly Problem[]): ReadDescription {
  return { description: null, problems: inOrder(problems), warnings: [] };
}

function inOrder(problems: readonly Problem[]): readonly Problem[] {
  return [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
}

function yamlMessage(code: string, message: string): string {
  if (code === 'DUPLICATE_KEY') return 'this is said twice: one of both must go';
  return `this is no YAML: ${message}`;
}

/** What would be lost, or never end, when the document becomes values. */
function unreadableIn(document: Document, at: (offset: number, message: string) => Problem): Problem[] {
  const found: Problem[] = [];
  const note = ({ range }: Node, message: string): void => void found.push(at(range?.[0] ?? 0, message));
  visit(document, {
    Alias: (_, node, ancestors) => {
      const meant = node.resolve(document);
      if (ancestors.some((ancestor) => ancestor === meant)) note(node, 'this stands in itself');
    },
    Scalar: (key, node) => {
      const { value, source } = node;
      if (key === 'key' && value === '__proto__') note(node, 'expected another name');
      const isLong = typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value);
      if (isLong && /^[-+]?\d+$/.test(source ?? ''))
        note(node, 'this number has too many digits: write it as a text, in quotes');
    },
  });
  const headers = document.get('headers');
  const names = new Set<string>();
  for (const { key } of isMap(headers) ? headers.items : []) {
    const name = isScalar(key) ? String(key.value).toLowerCase() : '';
    if (isScalar(key) && names.has(name)) note(key, `headers.${name}: this is said twice: one of both must go`);
    names.add(name);
  }
  return found;
}

/** `version: 2.0` among headers or parameters means the text: as a number it would be sent as 2. */
function keepAsWritten(document: Document): void {
  for (const word of ['headers', 'query']) {
    const values = document.get(word);
    if (!isMap(values)) continue;
    for (const { value } of values.items) {
      if (isScalar(value) && value.value !== null && value.source !== undefined) value.value = value.source;
    }
  }
}

/** "Expected one of …" says nothing new where a word among them was mistyped. */
function withoutEchoes(issues: readonly Issue[]): readonly Issue[] {
  const mistyped = new Set(issues.filter(({ code }) => code === 'unrecognized_keys').map(({ path }) => path.join('.')));
  return issues.filter(({ code, path }) => code !== 'custom' || !mistyped.has(path.join('.')));
}

function issueFindings(issue: Issue, raw: unknown, outer: readonly string[] = []): Finding[] {
  const path = [...outer, ...issue.path.map(String)];
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownWord(path, key));
  if (issue.code === 'invalid_key') return issue.issues.map(({ message }) => finding(path, message));
  const likely = issue.code === 'invalid_union' ? likelyBranch(issue.errors) : null;
  if (likely !== null) return likely.flatMap((inner) => issueFindings(inner, raw, path));
  return [path.length > 0 && isMissing(raw, path) ? missingWord(path) : finding(path, issue.message)];
}

/** The only alternative of the right kind, which is wrong further inside. */
function likelyBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | null {
  const inside = branches.filter((issues) =>
    issues.every(({ code, path }) => path.length > 0 || code === 'unrecognized_keys' || code === 'custom'),
  );
  return inside.length === 1 ? (inside[0] ?? null) : null;
}

function finding(path: readonly string[], message: string): Finding {
  return { path, message, isWarning: false };
}

function unknownWord(path: readonly string[], key: string): Finding {
  const known = wordsAt(path);
  const meant = meantWord(key, known);
  const advice = meant === null ? `expected ${known.join(', ')}` : `did you mean ${meant}?`;
  if (!HARMLESS.test(key)) return finding(path, `there is something here that is no word; ${advice}`);
  return finding([...path, key], `there is no such word here; ${advice}`);
}

function missingWord(path: readonly string[]): Finding {
  return finding(path, `is missing. ${meaningOf(path) ?? ''}`.trim());
}

function isMissing(raw: unknown, path: readonly string[]): boolean {
  let value = raw;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return false;
    value = Object.getOwnPropertyDescriptor(value, key)?.value;
  }
  return value === undefined;
}

/** Where the word at `path` begins, or the innermost that is there. */
function offsetOf(document: Document, path: readonly string[]): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const key of path) {
    const found = memberOf(node, key);
    if (found === null) break;
    offset = isNode(found.at) ? (found.at.range?.[0] ?? offset) : offset;
    node = found.value;
  }
  return offset;
}

/** @returns the value, and the node by which people find it; headers are told apart without case */
function memberOf(node: unknown, key: string): { readonly at: unknown; readonly value: unknown } | null {
  if (isSeq(node)) return { at: node.items[Number(key)], value: node.items[Number(key)] };
  if (!isMap(node)) return null;
  const pair = node.items.find(
    (item) => isScalar(item.key) && String(item.key.value).toLowerCase() === key.toLowerCase(),
  );
  return pair === undefined ? null : { at: pair.key, value: pair.value };
}
