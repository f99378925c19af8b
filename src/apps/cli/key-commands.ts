import type { Command } from 'commander';
import { CodedError } from '#control/coded-error.ts';
import { isObject } from '#io/admin-client-http/admin-client.ts';
import { clientOf, type CommonFlags, type Context, printAs, segment } from './context.ts';
import { collect } from './node-commands.ts';
import { cellText, type Column, dateText, formatTable, member, objectsOf, textOf } from './table.ts';

interface CreateFlags extends CommonFlags {
  readonly name: string;
  readonly role?: string;
  readonly action?: readonly string[];
  readonly ttl?: string;
}

const KEY_COLUMNS: readonly Column[] = [
  member('KEY', 'id'),
  member('NAME', 'name'),
  member('ROLE', 'role'),
  { title: 'ACTIONS', show: (row) => (row['actions'] === null ? 'all of the role' : cellText(row['actions'])) },
  { title: 'UNTIL', show: (row) => dateText(row['expiresAt']) },
  { title: 'LAST USED', show: (row) => (row['lastUsedAt'] === null ? '-' : dateText(row['lastUsedAt'])) },
];

/** `x0 keys …`. */
export function addKeyCommands(program: Command, context: Context): void {
  const keys = program
    .command('keys')
    .description('API keys: credentials of scripts, with no more rights than you have');
  keys
    .command('create')
    .description('make an API key and print it, this one time; scripts give it as X0_API_KEY')
    .requiredOption('--name <name>', 'what it is for')
    .option('--role <role>', 'admin, operator, viewer or auditor (default: yours)')
    .option('--action <action>', 'the only actions that it may do, such as tokens:create (repeatable)', collect)
    .option('--ttl <seconds>', 'life of the key (default: 90 days)')
    .option('--json', 'print JSON')
    .action(async (_flags: unknown, command: Command) => createKey(context, command.optsWithGlobals<CreateFlags>()));
  keys
    .command('list')
    .description('list the API keys that you may see')
    .option('--json', 'print JSON')
    .action(async (_flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<CommonFlags>();
      const found = await clientOf(context, flags).askAll('/api-keys', 'apiKeys');
      printAs(context, flags, found, () =>
        formatTable(KEY_COLUMNS, objectsOf(found, 'apiKeys'), 'there is no API key'),
      );
    });
  keys
    .command('revoke <key>')
    .description('end an API key at once')
    .action(async (key: string, _flags: unknown, command: Command) => {
      await clientOf(context, command.optsWithGlobals<CommonFlags>()).ask('DELETE', `/api-keys/${segment(key)}`);
      context.print(`${key} has ended`);
    });
}

async function createKey(context: Context, flags: CreateFlags): Promise<void> {
  const { name, role, action, ttl } = flags;
  if (ttl !== undefined && !/^\d{1,9}$/.test(ttl)) throw new CodedError('USAGE', `--ttl ${ttl}: write whole seconds`);
  const made = await clientOf(context, flags).ask('POST', '/api-keys', {
    name,
    ...(role !== undefined && { role }),
    ...(action !== undefined && { actions: action }),
    ...(ttl !== undefined && { ttlSeconds: Number(ttl) }),
  });
  printAs(context, flags, made, () => textOf(made, 'token'));
  const key = isObject(made['apiKey']) ? made['apiKey'] : {};
  if (context.isTerminal)
    context.warn(
      `it ends ${dateText(key['expiresAt'])}, or by: ${context.config.command} keys revoke ${textOf(key, 'id')}`,
    );
}
