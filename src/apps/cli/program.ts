import { Command } from 'commander';
import type { Context } from './context.ts';
import { addAuditCommands } from './audit-commands.ts';
import { addDrainCommands } from './drain-commands.ts';
import { addNodeCommands, addTokenCommands } from './node-commands.ts';
import { addRequestCommands } from './request-commands.ts';
import { addPolicyCommands } from './policy-commands.ts';
import { addProgramCommands } from './program-commands.ts';
import { addServiceCommands } from './service-commands.ts';
import { addStatusCommands } from './status-commands.ts';
import { addWhyCommand } from './why-commands.ts';
import { addKeyCommands } from './key-commands.ts';
import { addLoginCommands, addUserCommands } from './user-commands.ts';

const EPILOGUE = `
Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 this machine is not fit (ports, directory, Node), 4 no control plane,
70 a bug in x0. Variables: X0_DATA_DIR for --data-dir, X0_API and X0_API_KEY
for a control plane elsewhere, and for node X0_JOIN, X0_CONTROL, X0_LINK, X0_ADVERTISE, X0_RELAY, X0_SOCKS,
X0_HTTP, X0_ADMIN, X0_DETECTOR, X0_ALLOW_TARGETS, X0_PROTECT_PORTS, each like its flag.
Members reach a published service as SERVICE.mesh through a node's SOCKS5 or HTTP proxy, where a policy
allows it: see x0 policy --help, and x0 why for what is denied.`;

/** The whole command line. Actions reject with an `Error` that carries a `code`. */
export function createProgram(context: Context): Command {
  const program = new Command('x0')
    .description('a post-quantum zero-trust mesh for services')
    .version(context.config.version)
    .option('--data-dir <directory>', `state of the control plane (default: ${context.config.dataDir})`)
    .addHelpText('after', EPILOGUE)
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
  const node = addProgramCommands(program, context);
  addTokenCommands(program, context);
  addNodeCommands(node, context);
  addRequestCommands(node, context);
  addDrainCommands(program, context);
  addServiceCommands(program, context);
  addPolicyCommands(program, context);
  addWhyCommand(program, context);
  addStatusCommands(program, context);
  addLoginCommands(program, context);
  addUserCommands(program, context);
  addKeyCommands(program, context);
  addAuditCommands(program, context);
  inheritSettings(program);
  // Its action says which commands there are, where commander would count arguments.
  node.allowExcessArguments();
  return program;
}

/** A subcommand reports errors as its parent does: by throwing, so that one line is printed. */
function inheritSettings(program: Command): void {
  for (const command of program.commands) {
    command.copyInheritedSettings(program);
    inheritSettings(command);
  }
}
