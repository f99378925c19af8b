import { type Command, CommanderError } from 'commander';
import { ERROR_CODES } from '#kernel/error-codes.ts';
import { codeOf } from '#kernel/code-of.ts';
import { isCodeShaped, plainLines, plainText } from '#kernel/plain-text.ts';
import { CodedError } from '#control/coded-error.ts';
import { readCliConfig } from './config.ts';
import { EXIT, exitStatusOf, nextStep } from './exit-codes.ts';
import { tellParent } from './parent.ts';
import { createProgram } from './program.ts';
import { readSecret } from './read-secret.ts';

/** Runs one command line and returns the exit status. */
async function run(args: readonly string[]): Promise<number> {
  let program: Command | undefined;
  let command = 'x0';
  try {
    const config = readCliConfig(process.env);
    command = config.command;
    const context = {
      config,
      isTerminal: process.stdout.isTTY,
      print: (text: string) => void process.stdout.write(`${plainLines(text)}\n`),
      warn: (text: string) => void process.stderr.write(`${plainLines(text)}\n`),
      readSecret,
    };
    program = createProgram(context);
    await program.parseAsync(args, { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    return await report(error, command, helpCommand(program, command, args));
  }
}

/** How to ask for help about the command that these arguments name. */
function helpCommand(program: Command | undefined, command: string, args: readonly string[]): string {
  const named: string[] = [];
  let found = program;
  for (const arg of args) {
    found = found?.commands.find((each) => each.name() === arg);
    if (found === undefined) break;
    named.push(arg);
  }
  return [command, ...named, '--help'].join(' ');
}

async function report(error: unknown, command: string, help: string): Promise<number> {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.ok;
    if (error.code === 'commander.help') return EXIT.usage;
    return await complain('USAGE', error.message.replace(/^error: /, ''), help);
  }
  const code = stableCode(error);
  if (code !== undefined && error instanceof Error)
    return await complain(code, error.message, code === 'USAGE' ? help : nextStep(code, command));
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`x0: INTERNAL: ${plainLines(what)}\n`);
  return EXIT.bug;
}

/** A code of the catalogue, or one that a newer node or control plane says; `SYSTEM_ERROR` for what the operating system refused; undefined for a bug. */
function stableCode(error: unknown): string | undefined {
  const code = codeOf(error);
  if (code === undefined) return undefined;
  if (Object.values(ERROR_CODES).flat().includes(code)) return code;
  if (error instanceof CodedError && isCodeShaped(code)) return code;
  return error instanceof Error && 'syscall' in error ? 'SYSTEM_ERROR' : undefined;
}

async function complain(code: string, message: string, next: string | undefined): Promise<number> {
  const line = `${code}: ${plainText(message.replaceAll(/\s+/g, ' '))}${next === undefined ? '' : ` → ${next}`}`;
  process.stderr.write(`x0: ${line}\n`);
  await tellParent({ type: 'failed', code, message });
  return exitStatusOf(code);
}

process.stdout.on('error', (error) => {
  // Whoever read our output, `head` for example, has enough.
  if (codeOf(error) === 'EPIPE') process.exit(EXIT.ok);
  throw error;
});
// A program that failed may have left listeners open, and the channel to a parent keeps a process alive.
process.exit(await run(process.argv.slice(2)));
