import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { CodedError } from '#control/coded-error.ts';

/** Nothing of what is typed is shown. */
const NOWHERE = new Writable({ write: (_chunk, _encoding, done) => done() });

/** One line of standard input, which on a terminal is asked for and not shown. Rejects with USAGE where there is none. */
export async function readSecret(question: string): Promise<string> {
  const terminal = process.stdin.isTTY;
  if (terminal) process.stderr.write(question);
  const lines = createInterface({ input: process.stdin, output: NOWHERE, terminal });
  lines.once('SIGINT', () => lines.close());
  try {
    for await (const line of lines) return line;
  } finally {
    lines.close();
    if (terminal) process.stderr.write('\n');
  }
  throw new CodedError('USAGE', 'the password comes from standard input, and there was none');
}
