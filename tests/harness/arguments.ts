/** Arguments of the programs that `npm run` starts: what is wrong is said in a line, with the usage, before anything is begun. */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';

const USAGE_EXIT = 2;

/** An argument that cannot be meant; its message is for who typed it. */
export class ArgumentError extends Error {}

export type OptionValues<Options extends ParseArgsOptionsConfig> = ReturnType<
  typeof parseArgs<{ options: Options }>
>['values'];

/**
 * What `decide` makes of the options on the command line. Ends the process where there is nothing to do: with status 0 and the usage
 * on stdout for `--help`, with status 2 and what is wrong on stderr for what `decide` or the parser refuses.
 */
export function readArguments<Options extends ParseArgsOptionsConfig, Plan>(
  usage: string,
  options: Options,
  decide: (values: OptionValues<Options>) => Plan,
): Plan {
  if (process.argv.slice(2).some((argument) => argument === '--help' || argument === '-h')) {
    process.stdout.write(`${usage}\n`);
    return process.exit(0);
  }
  try {
    return decide(parseArgs({ args: negativesJoined(process.argv.slice(2)), options }).values);
  } catch (error) {
    if (!isAboutArguments(error)) throw error;
    process.stderr.write(`${error.message.replaceAll('\n', ' ').split('. ')[0]}\n${usage}\n`);
    return process.exit(USAGE_EXIT);
  }
}

/** The parser takes `--seeds -3` for two options. */
function negativesJoined(args: readonly string[]): string[] {
  return args.flatMap((argument, i) => {
    if (isOfOption(args, i)) return [];
    return isOfOption(args, i + 1) ? [`${argument}=${args[i + 1] ?? ''}`] : [argument];
  });
}

function isOfOption(args: readonly string[], at: number): boolean {
  return /^-\d/.test(args[at] ?? '') && /^--[^=]+$/.test(args[at - 1] ?? '');
}

function isAboutArguments(error: unknown): error is Error {
  if (error instanceof ArgumentError) return true;
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_');
}

/** A number of at least `least`, without fractions. */
export function wholeNumber(option: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
  throw new ArgumentError(`--${option} ${text}: not a whole number of ${least} or more`);
}

/** A number greater than zero. */
export function positiveNumber(option: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value > 0) return value;
  throw new ArgumentError(`--${option} ${text}: not a number greater than 0`);
}

/** One of those that there are, for the names of which the user is told. */
export function oneOf<Name extends string>(option: string, text: string, known: readonly Name[]): Name {
  const found = known.find((name) => name === text);
  if (found !== undefined) return found;
  throw new ArgumentError(`--${option} ${text}: there is no such; there are ${known.join(', ')}`);
}
