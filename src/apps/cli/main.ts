import { CommanderError } from 'commander';
import { readCliConfig } from './config.ts';
import { EXIT, exitStatusOf, nextStep } from './exit-codes.ts';
import { tellParent } from './parent.ts';
import { createProgram } from './program.ts';

/** Runs one command line and returns the exit status. */
async function run(args: readonly string[]): Promise<number> {
  try {
    const context = {
      config: readCliConfig(process.env),
      print: (text: string) => void process.stdout.write(`${text}\n`),
    };
    await createProgram(context).parseAsync(args, { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    return report(error);
  }
}

function report(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.ok;
    if (error.code === 'commander.help') return EXIT.usage;
    return complain('USAGE', error.message.replace(/^error: /, ''));
  }
  if (error instanceof Error && 'code' in error && typeof error.code === 'string')
    return complain(error.code, error.message);
  process.stderr.write(`x0: INTERNAL: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return EXIT.bug;
}

function complain(code: string, message: string): number {
  const next = nextStep(code);
  const line = `${code}: ${message.replaceAll(/\s+/g, ' ')}${next === undefined ? '' : ` → ${next}`}`;
  process.stderr.write(`x0: ${line}\n`);
  tellParent({ type: 'failed', code, message });
  return exitStatusOf(code);
}

process.exitCode = await run(process.argv.slice(2));
