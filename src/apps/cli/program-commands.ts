import { join } from 'node:path';
import type { Command } from 'commander';
import { shellWord } from '#kernel/plain-text.ts';
import { CodedError } from '#control/coded-error.ts';
import type { RunningControl } from '../control-plane/compose.ts';
import type { ControlFlags } from '../control-plane/config.ts';
import type { NodeFlags } from '../node/config.ts';
import type { UpFlags } from '../up/config.ts';
import type { Context } from './context.ts';
import { collect } from './node-commands.ts';
import { formatListeners, runWithFreeDefaults, withFreeDefaults } from './node-ports.ts';
import { serveUntilStopped, serviceOf } from './parent.ts';

/** `x0 up`, `control` and `node`. What they run is imported when they run, so that reading commands start fast. */
export function addProgramCommands(program: Command, context: Context): Command {
  addUp(program, context);
  addControl(program, context);
  return addNode(program, context);
}

function addUp(program: Command, context: Context): void {
  program
    .command('up')
    .description('start a control plane and six nodes on this machine')
    .option('--host <address>', 'address of this machine under which other machines may join (default: 127.0.0.1)')
    .option('--ports-base <port>', 'use a block of 27 ports from here instead of the documented ones')
    .option('--ephemeral', 'use ports that are free; not together with --ports-base')
    .action(async (_flags: unknown, command: Command) => {
      const [{ Up }, { parseUpConfig }] = await Promise.all([import('../up/main.ts'), import('../up/config.ts')]);
      const { dataDir, command: ownCommand } = context.config;
      const config = parseUpConfig(command.optsWithGlobals<UpFlags>(), dataDir, ownCommand);
      await serveUntilStopped(new Up(config, context.print));
    });
}

function addControl(program: Command, context: Context): void {
  program
    .command('control')
    .description('run the control plane alone')
    .option('--admin <host:port>', 'administration API (default: 127.0.0.1:8000)')
    .option('--listen <host:port>', 'enrolment and sessions of nodes (default: 127.0.0.1:8443)')
    .option('--advertise <host:port>', 'address that join tokens carry (repeatable; default: --listen)', collect)
    .option('--trust-domain <name>', 'trust domain of a new mesh (default: x0tta6bl4.mesh)')
    .option('--allow-members', 'put the policy local-allow-members into force at the first start: for trying out')
    .option('--production', 'refuse that policy (X0_PRODUCTION=1)')
    .option('--svid-life <minutes>', 'life of certificates, 5 to 10080 (default: 1440)')
    .action(async (_flags: unknown, command: Command) => {
      const [{ runControlPlane }, { parseControlConfig }] = await Promise.all([
        import('../control-plane/main.ts'),
        import('../control-plane/config.ts'),
      ]);
      const flags = command.optsWithGlobals<ControlFlags>();
      const config = parseControlConfig(flags, context.config.dataDir, context.config.environment);
      await serveUntilStopped(
        serviceOf(async () => {
          const running = await runControlPlane(config);
          if (context.isTerminal) context.print(controlReady(context, flags, running));
          // Whoever started this as a child asks for the code itself.
          if (running.firstCode !== undefined && !process.connected)
            context.print(`first admin: ${context.config.command} register ${running.firstCode} --name NAME`);
          return running;
        }),
      );
    });
}

/** What a person who started a control plane does next. */
function controlReady(context: Context, flags: ControlFlags, running: RunningControl): string {
  const own = flags.dataDir === undefined ? '' : ` --data-dir ${shellWord(flags.dataDir)}`;
  const create = `${context.config.command} token create${own} --node NAME`;
  return [
    `the control plane is up: nodes join at ${running.addresses.join(', ')}, administration ${running.admin}`,
    `next, in another terminal: ${create} --relay for a relay, at least one, then ${create} for each other node`,
  ].join('\n');
}

function addNode(program: Command, context: Context): Command {
  return program
    .command('node')
    .description('run a node, or list and revoke nodes')
    .option('--join <token>', 'join token; needed once')
    .option('--link <host:port>', 'accept links here (default: off, this node only dials out)')
    .option('--advertise <host:port>', 'address under which others reach --link (repeatable; default: --link)', collect)
    .option('--relay', 'forward circuits of others, if the token allows it')
    .option(
      '--stale-after <seconds>',
      'without news of a control plane for so long, it ends all streams (default: 43200)',
    )
    .option('--detector <speed>', 'how fast a silent neighbour is given up: normal (300 ms), fast (150 ms) or off')
    .option('--socks <host:port>', 'SOCKS5 proxy, or off (default: 127.0.0.1:1080, if that is in use a free port)')
    .option('--http <host:port>', 'HTTP proxy, or off (default: 127.0.0.1:8081, likewise)')
    .option('--admin <host:port>', 'administration, or off (default: 127.0.0.1:7201, likewise)')
    .option('--control <host:port>', 'where the control plane answers now, if it moved')
    .option(
      '--allow-target <pattern>',
      'HOST:PORT or ADDRESS/BITS:PORT that services may lead to (repeatable)',
      collect,
    )
    .option('--protect-ports <list>', 'ports of this host that no service may lead to, such as 1080,7101-7106')
    .action(async (_flags: unknown, command: Command) => {
      const [{ runNode }, { parseNodeConfig }] = await Promise.all([
        import('../node/main.ts'),
        import('../node/config.ts'),
      ]);
      const [unknown] = command.args;
      if (unknown !== undefined)
        throw new CodedError('USAGE', `unknown command '${unknown}' of node; there are list and revoke`);
      const { environment, dataDir } = context.config;
      const flags = command.optsWithGlobals<NodeFlags>();
      const asked = parseNodeConfig(flags, environment, join(dataDir, 'node'));
      await serveUntilStopped(
        serviceOf(async () =>
          runWithFreeDefaults(
            async () => withFreeDefaults(asked, flags, environment),
            async (config) => {
              const running = await runNode(config);
              context.print(formatListeners(running.name, config));
              void running.drained.then(() => context.print(`${running.name} was drained and stops`));
              return running;
            },
          ),
        ),
      );
    });
}
