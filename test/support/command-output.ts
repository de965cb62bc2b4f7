/** Commands of the program, run in this process, and what they write: as a person sees it who starts them. */
import { exitCodeOf } from '../../src/core/errors.ts';

export interface CommandEnding {
  readonly code: number;
  readonly stdout: string;
  /** With the message of what it threw: main.ts writes that there. */
  readonly stderr: string;
}

/** The command before: commands of one process share its stdout. */
let previous: Promise<unknown> = Promise.resolve();

/** Runs a command, which gives its exit code, and takes what it writes. One at a time. */
export function runCommand(command: () => Promise<number>): Promise<CommandEnding> {
  const ending = previous.then(() => takeOutput(command));
  previous = ending;
  return ending;
}

async function takeOutput(command: () => Promise<number>): Promise<CommandEnding> {
  const stdout = new TakenStream(process.stdout);
  const stderr = new TakenStream(process.stderr);
  try {
    const code = await command();
    return { code, stdout: stdout.text, stderr: stderr.text };
  } catch (error) {
    return { code: exitCodeOf(error), stdout: stdout.text, stderr: `${stderr.text}${String(error)}\n` };
  } finally {
    stdout.giveBack();
    stderr.giveBack();
  }
}

class TakenStream {
  text = '';
  readonly #stream: NodeJS.WriteStream;
  readonly #write: NodeJS.WriteStream['write'];

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    this.#write = stream.write.bind(stream);
    stream.write = (written: string | Uint8Array): boolean => {
      // Commands write text; bytes are what the test runner tells its parent.
      if (typeof written !== 'string') return this.#write(written);
      this.text += written;
      return true;
    };
  }

  giveBack(): void {
    this.#stream.write = this.#write;
  }
}
