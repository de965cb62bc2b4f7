import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { parseEnv } from 'node:util';
import ts from 'typescript';
import { z } from 'zod';
import { renderDocuments } from '../../scripts/documents.ts';
import { commandLine, readSettings } from '../../src/core/config.ts';
import { SETTINGS } from '../../src/core/settings-table.ts';
import { readDescription } from '../../src/source/read-description.ts';
import { PROJECT_FOLDER } from '../support/processes.ts';
import { anchors, inlineCode, links, readDocuments, shellCommands } from './document-texts.ts';

const documents = readDocuments();
const manifest = z
  .object({
    scripts: z.record(z.string(), z.string()),
    dependencies: z.record(z.string(), z.string()),
    devDependencies: z.record(z.string(), z.string()),
  })
  .parse(JSON.parse(readFileSync(join(PROJECT_FOLDER, 'package.json'), 'utf8')));

function textOf(path: string): string {
  return documents.find((document) => document.path === path)?.text ?? '';
}

/** Every flag that a command of this program takes, by its own help. */
function flagsOf(command: readonly string[]): Set<string> {
  const help = spawnSync(process.execPath, ['--import', 'tsx', 'src/main.ts', ...command, '--help'], {
    cwd: PROJECT_FOLDER,
    encoding: 'utf8',
  }).stdout;
  return new Set([...help.matchAll(/--[a-z][a-z-]*/g)].map(([flag]) => flag));
}

test('settings, exit codes and figures in the documents are what npm run docs writes', async () => {
  for (const [file, text] of await renderDocuments()) {
    const found = readFileSync(join(PROJECT_FOLDER, file), 'utf8');
    assert.equal(found, text, `${file} is out of date: npm run docs`);
  }
});

test('.env.example names every variable, with a value that the program takes', () => {
  const example = readFileSync(join(PROJECT_FOLDER, '.env.example'), 'utf8');
  const values = parseEnv(example.replaceAll(/^#(?=[A-Z_]+=)/gm, ''));
  assert.deepEqual(Object.keys(values).sort(), SETTINGS.map((setting) => setting.variable).sort());
  readSettings(commandLine('start', '', []), [], values);
});

test('the help of npm start lists every flag with its variable and default', () => {
  const help = spawnSync(process.execPath, ['--import', 'tsx', 'src/main.ts', '--help'], {
    cwd: PROJECT_FOLDER,
    encoding: 'utf8',
  });
  assert.equal(help.status, 0);
  const text = help.stdout.replaceAll(/\s+/g, ' ');
  for (const setting of SETTINGS.filter((candidate) => !candidate.variableOnly)) {
    assert.ok(text.includes(setting.flag), setting.flag);
    assert.ok(text.includes(`[${setting.variable}`), setting.variable);
  }
});

test('links between the documents lead somewhere', () => {
  for (const document of documents) {
    for (const link of links(document).filter((target) => !/^https?:/.test(target))) {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? document.path : join(dirname(document.path), path);
      assert.ok(existsSync(join(PROJECT_FOLDER, target)), `${document.path} links to ${link}`);
      if (anchor === undefined) continue;
      const linked = documents.find((candidate) => candidate.path === target);
      assert.ok(linked !== undefined && anchors(linked).includes(anchor), `${document.path} links to ${link}`);
    }
  }
});

test('npm commands in the documents exist, with the flags they are shown with', () => {
  const flags = new Map<string, Set<string>>();
  let checked = 0;
  for (const document of documents) {
    for (const text of [...shellCommands(document), ...inlineCode(document)]) {
      for (const [, name = '', args = ''] of text.matchAll(/npm (?:run )?([a-z][a-z:-]*)(?: -- ([^&|;]*))?/g)) {
        if (['ci', 'install', 'outdated', 'audit'].includes(name)) continue;
        assert.ok(name in manifest.scripts, `${document.path}: npm run ${name}`);
        checked += 1;
        const command = name === 'start' ? [] : [name];
        for (const [flag] of args.matchAll(/--[a-z][a-z-]*/g)) {
          if (name === 'bench') continue;
          const known = flags.get(name) ?? flagsOf(command);
          flags.set(name, known);
          assert.ok(known.has(flag), `${document.path}: npm run ${name} has no ${flag}`);
        }
      }
    }
  }
  assert.ok(checked > 20);
});

test('files that commands in the documents run are there', () => {
  for (const document of documents) {
    for (const command of shellCommands(document)) {
      for (const [file] of command.matchAll(/\b[\w./-]+\.(?:sh|ts)\b/g)) {
        assert.ok(existsSync(join(PROJECT_FOLDER, file)), `${document.path}: ${command}`);
      }
    }
  }
});

test('flags and variables that the documents mention are known', () => {
  const others = new Set(
    [
      // of other programs and of the scripts
      '--json --output --partial --kind --run --help --port --events --yes --file --status --profile --volumes --detach --tail --follow',
      '--test --import --cpu-prof --omit --rm --stop --force --init --remove-orphans',
    ].flatMap((line) => line.split(' ')),
  );
  const known = new Set([...SETTINGS.map((setting) => setting.flag), ...others]);
  for (const document of documents) {
    for (const code of inlineCode(document)) {
      if (code.startsWith('npm run bench')) continue;
      for (const [flag] of code.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)) {
        assert.ok(known.has(flag), `${document.path}: ${flag}`);
      }
    }
  }
});

test('the description that docs/sources.md shows has no problems', () => {
  const shown = [...textOf('docs/sources.md').matchAll(/^```yaml\n([^]*?)^```$/gm)].map(([, block = '']) => block);
  assert.ok(shown.length > 0);
  for (const text of shown) assert.deepEqual(readDescription(text).problems, []);
});

test('files that the architecture and the contributing guide name are there', () => {
  const paths = ['docs/architecture.md', 'CONTRIBUTING.md'].flatMap((document) =>
    [...textOf(document).matchAll(/`((?:[\w-]+\/)+[\w-]+\.ts)`/g)].map(([, path = '']) => path),
  );
  assert.ok(paths.length > 30, `found ${paths.length}`);
  for (const path of paths) {
    const isThere = ['', 'src', 'src/app'].some((folder) => existsSync(join(PROJECT_FOLDER, folder, path)));
    assert.ok(isThere, path);
  }
});

test('every dependency has its line in the architecture, and no other has one', () => {
  const bill = textOf('docs/architecture.md').split('## Dependencies')[1] ?? '';
  const named = [...bill.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  );
  const installed = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies });
  assert.deepEqual(named.sort(), installed.filter((name) => !name.startsWith('@types/')).sort());
});

for (const level of ['info', 'warn']) {
  test(`every log line of the level ${level} is explained to operators`, () => {
    const operations = textOf('docs/operations.md').replaceAll(/\s+/g, ' ');
    const sources = readdirSync(join(PROJECT_FOLDER, 'src'), { recursive: true, encoding: 'utf8' });
    let found = 0;
    for (const path of sources.filter((name) => name.endsWith('.ts'))) {
      for (const text of loggedTexts(readFileSync(join(PROJECT_FOLDER, 'src', path), 'utf8'), level)) {
        found += 1;
        assert.ok(operations.includes(text), `docs/operations.md does not explain "${text}" (src/${path})`);
      }
    }
    assert.ok(found >= 15, `found ${found}`);
  });
}

/** Messages of `logger.level(…)` that are written out, those of either branch of a condition among them. */
function loggedTexts(code: string, level: string): string[] {
  const source = ts.createSourceFile('source.ts', code, ts.ScriptTarget.Latest, true);
  const textsOf = (node: ts.Expression | undefined): string[] => {
    if (node === undefined) return [];
    if (ts.isConditionalExpression(node)) return [...textsOf(node.whenTrue), ...textsOf(node.whenFalse)];
    return ts.isStringLiteralLike(node) ? [node.text.replaceAll('\n', '\\n').replaceAll('\r', '\\r')] : [];
  };
  const texts: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && /logger$/.test(receiverOf(node, source, level)))
      texts.push(...textsOf(node.arguments.at(-1)));
    ts.forEachChild(node, visit);
  };
  visit(source);
  return texts;
}

/** `this.#logger` of `this.#logger.level(…)`; empty for every other call. */
function receiverOf({ expression }: ts.CallExpression, source: ts.SourceFile, method: string): string {
  const isIt = ts.isPropertyAccessExpression(expression) && expression.name.text === method;
  return isIt ? expression.expression.getText(source) : '';
}
