/**
 * The file `.env`. Whoever has written one wants it to count: what is there and cannot be read, or is nothing that anybody here
 * knows, ends with code 2, and never with the demo. Problems are told by the number of their line; a line may be a secret.
 */
import { lstatSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import type { Environment } from './config.ts';
import { ConfigurationError } from './errors.ts';
import { SETTINGS } from './settings-table.ts';

/** What docker-compose.yml and the scripts read besides the settings. */
const READ_BY_OTHERS = [
  'POSTGRES_HOST_PORT',
  'HTTP_HOST_PORT',
  'DEMO_EVENTS',
  'DEMO_HTTP_HOST_PORT',
  'FOLLOW_HTTP_HOST_PORT',
  'PROMETHEUS_HOST_PORT',
  'GRAFANA_HOST_PORT',
  'NPMRC',
];
/** Node reads them when it starts, which is before it reads a file. */
const TOO_LATE = ['NODE_EXTRA_CA_CERTS', 'NODE_OPTIONS', 'NODE_USE_SYSTEM_CA', 'NODE_USE_ENV_PROXY'];
const MOST_LINES_NAMED = 5;

/**
 * The assignments of the file; none when there is no file.
 * @param environment what is set already, and wins
 * @param isForSource a description of a source is used, which reads variables of any name
 * @throws ConfigurationError
 */
export function readEnvFile(
  path: string,
  environment: Environment,
  isForSource = false,
): Readonly<Record<string, string>> {
  const text = readText(path);
  if (text === null) return {};
  const { names, wrongLines, cutLines } = examine(text);
  if (wrongLines.length > 0) {
    throw new ConfigurationError(
      `${path}: every line must be NAME=value or a comment that begins with #, and line ${listed(wrongLines)} is neither`,
    );
  }
  if (cutLines.length > 0) {
    throw new ConfigurationError(
      `${path}: the value in line ${listed(cutLines)} has a # in it, which would begin a comment: put the value in quotes`,
    );
  }
  const late = TOO_LATE.find((name) => names.includes(name) && !environment[name]);
  if (late !== undefined) {
    throw new ConfigurationError(
      `${path}: ${late} has no effect there, because Node reads it when it starts: set it in the shell (export ${late}=…)`,
    );
  }
  if (names.length > 0 && !isForSource && !names.some(isKnown)) {
    throw new ConfigurationError(
      `${path}: none of the names that it sets is one of a setting; .env.example lists those that there are`,
    );
  }
  return Object.fromEntries(Object.entries(parseEnv(text)).map(([name, value]) => [name, value ?? '']));
}

function listed(lines: readonly number[]): string {
  return lines.slice(0, MOST_LINES_NAMED).join(', ') + (lines.length > MOST_LINES_NAMED ? ' …' : '');
}

/** Whether the program, docker-compose.yml, a script or Docker itself reads a variable of this name. */
export function isKnown(name: string): boolean {
  if (/^(COMPOSE|DOCKER)_/.test(name) || READ_BY_OTHERS.includes(name)) return true;
  return SETTINGS.some(
    ({ variable, variableOnly }) => name === variable || (variableOnly && name === variable.toLowerCase()),
  );
}

/** `null` when there is no file. @throws ConfigurationError when there is something else, or it cannot be read */
function readText(path: string): string | null {
  let bytes: Buffer;
  try {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return null;
    bytes = readFileSync(path);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    const reasons: Readonly<Record<string, string>> = {
      EISDIR: 'it is a folder',
      ENOENT: 'it is a link to something that does not exist',
      ELOOP: 'it is a link that leads to itself',
      EACCES: 'this user may not read it',
    };
    throw new ConfigurationError(`${path} cannot be read: ${reasons[code] ?? code}`, { cause });
  }
  const text = new TextDecoder(encodingOf(bytes)).decode(bytes);
  if (text.includes('\0')) throw new ConfigurationError(`${path} is no text in UTF-8: save it as one`);
  return text.replaceAll(/\r\n?/g, '\n');
}

/** By the byte order mark, which some editors of Windows write; the decoder takes it off. */
function encodingOf(bytes: Buffer): 'utf-8' | 'utf-16le' | 'utf-16be' {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  return bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : 'utf-8';
}

const BLANK_OR_COMMENT = /[^\S\n]*(#.*)?(\n|$)/y;
/** Quoted text may go over several lines. A value that begins with a quote ends with one. */
const ASSIGNMENT =
  /[^\S\n]*(?:export[^\S\n]+)?([A-Za-z_][\w.-]*)[^\S\n]*=(?:[^\S\n]*("[^"]*"|'[^']*'|`[^`]*`)[^\S\n]*(?:#.*)?|((?![^\S\n]*["'`]).*))(?:\n|$)/y;

interface Examined {
  readonly names: readonly string[];
  /** Numbers of lines that are neither an assignment nor a comment. */
  readonly wrongLines: readonly number[];
  /** Of lines with a # inside of a word: for some readers a comment begins there, for others not. */
  readonly cutLines: readonly number[];
}

function examine(text: string): Examined {
  const names: string[] = [];
  const wrongLines: number[] = [];
  const cutLines: number[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match !== null) at += match[0].length;
    return match;
  };
  while (at < text.length) {
    const line = text.slice(0, at).split('\n').length;
    if (take(BLANK_OR_COMMENT) !== null) continue;
    const assignment = take(ASSIGNMENT);
    // What is no text in UTF-8 has become U+FFFD.
    if (assignment?.[1] !== undefined && !assignment[0].includes('\ufffd')) {
      names.push(assignment[1]);
      if (/^([^#]*\S)?#/.test(assignment[3] ?? '')) cutLines.push(line);
      continue;
    }
    wrongLines.push(line);
    if (assignment === null) at = text.indexOf('\n', at) + 1 || text.length;
  }
  return { names, wrongLines, cutLines };
}
