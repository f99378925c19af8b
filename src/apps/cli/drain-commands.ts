import type { Command } from 'commander';
import { CodedError } from '#control/coded-error.ts';
import { recallRestart, restartAdvice } from '../up/restart-lines.ts';
import { clientOf, type CommonFlags, type Context, printAs, segment } from './context.ts';
import { cellText } from './table.ts';

/** As the node judges it, whose modules are not loaded for a line of help. */
const LONGEST_GRACE_SECONDS = 86_400;

interface DrainFlags extends CommonFlags {
  readonly grace: string;
}

/** `x0 drain` and `x0 undrain`. */
export function addDrainCommands(program: Command, context: Context): void {
  program
    .command('drain <node>')
    .description('take a node out of service: streams of others move away, its own get a grace time, then it stops')
    .option(
      '--grace <seconds>',
      `how long what begins or ends there may take to end, 0 to ${LONGEST_GRACE_SECONDS}`,
      '30',
    )
    .option('--json', 'print JSON')
    .action(async (node: string, _flags: unknown, command: Command) =>
      drain(context, command.optsWithGlobals<DrainFlags>(), node),
    );
  program
    .command('undrain <node>')
    .description('take a drain back while the node has not stopped, or forget that it was drained')
    .option('--json', 'print JSON')
    .action(async (node: string, _flags: unknown, command: Command) =>
      undrain(context, command.optsWithGlobals(), node),
    );
}

async function drain(context: Context, flags: DrainFlags, node: string): Promise<void> {
  const graceSeconds = parseGrace(flags.grace);
  const answer = await clientOf(context, flags).ask('POST', `/nodes/${segment(node)}/drain`, { graceSeconds });
  printAs(context, flags, answer, () => {
    const load = `${counted(answer['circuits'], 'circuit')} of others and ${counted(answer['streams'], 'stream')} of its own`;
    if (graceSeconds === 0) return `${node} drains: it carries ${load}, ends them now, and stops`;
    return [
      `${node} drains: it carries ${load}, and stops when they are gone, at the latest in ${graceSeconds} s`,
      `${context.config.command} status shows it; ${context.config.command} undrain ${node} takes it back`,
    ].join('\n');
  });
}

async function undrain(context: Context, flags: CommonFlags, node: string): Promise<void> {
  const answer = await clientOf(context, flags).ask('POST', `/nodes/${segment(node)}/undrain`);
  printAs(context, flags, answer, () => {
    if (answer['state'] !== 'down') return `${node} serves on`;
    const line = recallRestart(flags.dataDir ?? context.config.dataDir, node);
    return `${node} does not count as drained any more; it is down; ${line === undefined ? 'start it again' : restartAdvice(line)}`;
  });
}

/** The node judges the range. */
function parseGrace(text: string): number {
  if (!/^-?\d{1,15}$/.test(text))
    throw new CodedError('USAGE', `--grace ${text}: write whole seconds, 0 to ${LONGEST_GRACE_SECONDS}`);
  return Number(text);
}

function counted(count: unknown, noun: string): string {
  return `${cellText(count)} ${noun}${count === 1 ? '' : 's'}`;
}
