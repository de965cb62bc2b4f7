/** The display in a real pseudo-terminal (`script` of util-linux), looked at through a terminal emulator. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it, type TestContext } from 'node:test';
import xterm from '@xterm/headless';
import { startSimulator } from '../../../src/simulator/simulator.ts';
import { testDatabase } from '../../support/database.ts';
import { startScript } from '../../support/processes.ts';
import { ROWS, TerminalSession } from './terminal-session.ts';

const PROGRAM = 'test/integration/watch/terminal-program.ts';

/** What stands on the screen and above it, wrapped lines joined, ends trimmed. */
class Screen {
  readonly #terminal: xterm.Terminal;

  constructor(columns: number) {
    this.#terminal = new xterm.Terminal({
      cols: columns,
      rows: ROWS,
      scrollback: 1_000,
      allowProposedApi: true,
    });
  }

  show(output: string): Promise<void> {
    return new Promise((resolve) => {
      this.#terminal.write(output, resolve);
    });
  }

  resize(columns: number): void {
    this.#terminal.resize(columns, ROWS);
  }

  /** One entry a line of output, however often the terminal had to wrap it. */
  get lines(): string[] {
    const buffer = this.#terminal.buffer.active;
    const lines: string[] = [];
    for (let row = 0; row < buffer.length; row += 1) {
      const line = buffer.getLine(row);
      const text = line?.translateToString(false) ?? '';
      if (line?.isWrapped === true) lines.push(`${lines.pop() ?? ''}${text}`);
      else lines.push(text);
    }
    return lines.map((line) => line.trimEnd()).filter((line) => line !== '');
  }
}

/** Starts the program in a terminal of this width; answers once it has drawn. */
async function inTerminal(t: TestContext, columns: number): Promise<TerminalSession> {
  const session = new TerminalSession(t, `${process.execPath} --import tsx ${PROGRAM}`, columns);
  await session.waitForText('%');
  return session;
}

async function tell(session: TerminalSession, line: string, answer: string): Promise<void> {
  session.type(line);
  await session.waitForText(answer);
}

/** Waits for the bar as it is drawn after this moment. */
const redrawn = (session: TerminalSession) => session.waitForText(/%[^\n]*\x1b\[0K/, session.output.length);

const isBar = (line: string) => line.includes('%');

describe('the terminal display', { concurrency: 4 }, () => {
  for (const columns of [20, 40, 80, 200]) {
    it(`keeps one line under the log at ${columns} columns, and the log whole`, async (t) => {
      const session = await inTerminal(t, columns);
      await tell(session, 'advance 20', 'advanced to 200000');
      const long = `a long line ${'x'.repeat(300)} ends here`;
      await tell(session, `log ${long}`, 'ends here');
      await tell(session, 'log short', 'short');
      await redrawn(session);
      const screen = new Screen(columns);
      await screen.show(session.output);
      const { lines } = screen;
      const [bar = '', ...others] = lines.filter(isBar);
      assert.deepEqual(others, []);
      assert.equal(lines.at(-1), bar, 'the bar is the last line');
      assert.match(bar, /20\.0 %/);
      assert.ok(bar.length < columns, bar);
      const logged = lines.slice(1, -1).map((line) => line.replace(/^.*INFO.*?: /, ''));
      assert.deepEqual(logged, ['before the display', 'advanced to 200000', long, 'short']);
    });
  }

  it('fits itself to a terminal that gets narrower and wider again, and leaves nothing behind', async (t) => {
    const session = await inTerminal(t, 120);
    const [tty = ''] = /\/dev\/pts\/\d+/.exec(session.output) ?? [];
    await tell(session, 'log first', 'first');
    const screen = new Screen(120);
    let shown = 0;
    for (const columns of [50, 30, 100]) {
      const from = session.output.length;
      execFileSync('stty', ['-F', tty, 'cols', String(columns)]);
      // Everything before the display noticed was written for the old width.
      const noticed = await session.waitForText(/\x1b\[1G\x1b\[0J/, from);
      await screen.show(session.output.slice(shown, noticed));
      screen.resize(columns);
      await redrawn(session);
      const until = session.output.length;
      await screen.show(session.output.slice(noticed, until));
      shown = until;
      const { lines } = screen;
      const bars = lines.filter((line) => /[█░%]/.test(line));
      assert.equal(bars.length, 1, lines.join('\n'));
      assert.ok((bars[0] ?? '').length < columns);
      assert.equal(lines.filter((line) => line.endsWith('first')).length, 1);
    }
    await tell(session, 'log second', 'second');
    await redrawn(session);
    await screen.show(session.output.slice(shown));
    assert.deepEqual(
      screen.lines.filter((line) => /first|second/.test(line)).map((line) => line.replace(/^.*: /, '')),
      ['first', 'second'],
    );
  });

  for (const columns of [44, 100]) {
    it(`leaves a summary of the run, at most ${columns} columns wide, and no bar`, async (t) => {
      const session = await inTerminal(t, columns);
      await tell(session, 'advance 60', 'advanced to');
      session.type('stop');
      assert.equal(await session.waitForExit(), 0);
      const screen = new Screen(columns);
      await screen.show(session.output);
      const { lines } = screen;
      assert.ok(!lines.some((line) => line.includes('█')), lines.join('\n'));
      const table = lines.filter((line) => /^[│┌├└]/.test(line));
      assert.ok(
        table.every((line) => line.length <= columns),
        table.join('\n'),
      );
      const text = table.join('\n');
      for (const row of [
        /│ inserted +│ [\d,]+/,
        /│ duplicates +│ [\d,]+/,
        /│ merges +│ \d+/,
        /│ ended +│ complete/,
        /│ proven +│ by the API/,
      ]) {
        assert.match(text, row);
      }
      assert.match(lines.at(-1) ?? '', /after the display$/);
    });
  }

  it('of the job itself leaves how it ended, one line for each thing that is logged, and the last word to the log', async (t) => {
    const simulator = await startSimulator({ port: 0, events: 2_000 });
    t.after(() => simulator.close());
    const { url } = await testDatabase(t);
    const environment = `TARGET_API_KEY=any API_BASE_URL=${simulator.baseUrl} DATABASE_URL=${url}`;
    const session = new TerminalSession(t, `env ${environment} ${process.execPath} --import tsx src/main.ts`, 120);
    assert.equal(await session.waitForExit(), 0, session.output);
    const screen = new Screen(120);
    await screen.show(session.output);
    const { lines } = screen;
    assert.match(lines.find((line) => line.includes('│ ended')) ?? '', /│ ended +│ complete +│/);
    assert.match(lines.find((line) => line.includes('│ inserted')) ?? '', /│ 2,000 +│/);
    const logged = lines.filter((line) => !/^[│┌└]|^\/dev/.test(line));
    assert.ok(
      logged.every((line) => /^\[\d\d:\d\d:\d\d\] INFO: /.test(line)),
      logged.join('\n'),
    );
    assert.match(lines.at(-1) ?? '', /INFO: ingestion complete \{"events":2/);
  });

  it('is a plain log line now and then where there is no terminal', async (t) => {
    const program = startScript(t, PROGRAM);
    await program.waitForLog((line) => line.msg === 'before the display');
    program.write('advance 20\n');
    const line = await program.waitForLog((found) => found.msg === 'progress' && found['events'] === 200_000);
    assert.equal(line['percent'], 20);
    assert.equal(line['total_events'], 1_000_000);
    assert.equal(line['pages_in_flight'], 8);
    for (const field of ['events_per_second', 'average_events_per_second', 'eta_seconds', 'anomalies']) {
      assert.equal(typeof line[field], 'number', field);
    }
    program.write('stop\n');
    assert.equal((await program.waitForExit()).code, 0);
    assert.deepEqual(program.notJson, []);
    assert.ok(!program.stdout.includes('\x1b'), 'no escape codes');
  });
});
