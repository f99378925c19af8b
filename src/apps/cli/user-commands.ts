import type { Command } from 'commander';
import { CodedError } from '#control/coded-error.ts';
import { AdminClient, isObject, type JsonObject } from '#io/admin-client-http/admin-client.ts';
import { forgetSession, readSession, writeSession } from '#io/admin-client-http/session-file.ts';
import { clientOf, type CommonFlags, type Context, dataDirOf, printAs, segment } from './context.ts';
import { type Column, dateText, formatTable, member, objectsOf, textOf } from './table.ts';

interface LoginFlags extends CommonFlags {
  readonly name: string;
  readonly api?: string;
}

interface InviteFlags extends CommonFlags {
  readonly role: string;
}

const USER_COLUMNS: readonly Column[] = [
  member('USER', 'name'),
  member('ROLE', 'role'),
  member('DISABLED', 'disabled'),
  { title: 'SINCE', show: (row) => dateText(row['createdAt']) },
  member('ID', 'id'),
];

/** `x0 register`, `login` and `logout`. */
export function addLoginCommands(program: Command, context: Context): void {
  program
    .command('register <code>')
    .description('become a user by the code of an invitation; the password is read from standard input')
    .requiredOption('--name <name>', 'name or email address')
    .option('--api <host:port>', 'control plane, if it is not the one of --data-dir')
    .action(async (code: string, _flags: unknown, command: Command) =>
      enter(context, command.optsWithGlobals<LoginFlags>(), '/users/register', { code }),
    );
  program
    .command('login')
    .description('go on as a user; the password is read from standard input')
    .requiredOption('--name <name>', 'name or email address')
    .option('--api <host:port>', 'control plane, if it is not the one of --data-dir')
    .action(async (_flags: unknown, command: Command) =>
      enter(context, command.optsWithGlobals<LoginFlags>(), '/users/login', {}),
    );
  program
    .command('logout')
    .description('end the session of login; the machine’s own admin.token is used again')
    .action(async (_flags: unknown, command: Command) => leave(context, command.optsWithGlobals()));
}

async function enter(context: Context, flags: LoginFlags, path: string, more: JsonObject): Promise<void> {
  const api = flags.api ?? context.config.environment['X0_API'];
  const password = await context.readSecret?.('password: ');
  if (password === undefined) throw new CodedError('USAGE', 'there is nobody to ask for the password');
  const place = api === undefined ? {} : { api };
  const dataDir = dataDirOf(context, flags);
  const client = new AdminClient(dataDir, { ...place, isOpen: true });
  const opened = await client.ask('POST', path, { ...more, name: flags.name, password });
  writeSession(dataDir, { ...place, token: textOf(opened, 'token') });
  const user = isObject(opened['user']) ? opened['user'] : {};
  context.print(
    `you are ${textOf(user, 'name')}, ${textOf(user, 'role')}, until ${dateText(opened['expiresAt'])}; ${context.config.command} logout ends it`,
  );
}

/** What cannot be ended there, because it ended before or nobody answers, is forgotten here all the same. */
async function leave(context: Context, flags: CommonFlags): Promise<void> {
  const dataDir = dataDirOf(context, flags);
  const session = readSession(dataDir);
  if (session === undefined) throw new CodedError('SESSION_NEEDED', 'nobody has logged in here');
  forgetSession(dataDir);
  try {
    await new AdminClient(dataDir, session).ask('POST', '/users/logout');
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'CREDENTIAL_WRONG') throw error;
  }
  context.print('logged out');
}

/** `x0 users …`. */
export function addUserCommands(program: Command, context: Context): void {
  const users = program.command('users').description('people: list, invite, give a role, disable');
  users
    .command('list')
    .description('list the users that you may see')
    .option('--json', 'print JSON')
    .action(async (_flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<CommonFlags>();
      const found = await clientOf(context, flags).askAll('/users', 'users');
      printAs(context, flags, found, () =>
        formatTable(USER_COLUMNS, objectsOf(found, 'users'), 'there is no user yet'),
      );
    });
  users
    .command('invite')
    .description('make a code with which one person may register within a week')
    .requiredOption('--role <role>', 'admin, operator, viewer or auditor')
    .option('--json', 'print JSON')
    .action(async (_flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<InviteFlags>();
      const made = await clientOf(context, flags).ask('POST', '/users/invitations', { role: flags.role });
      printAs(context, flags, made, () => textOf(made, 'code'));
    });
  addChanges(users, context);
}

function addChanges(users: Command, context: Context): void {
  users
    .command('role <user> <role>')
    .description('give a user another role; it counts with the next request')
    .action(async (user: string, role: string, _flags: unknown, command: Command) =>
      change(context, command.optsWithGlobals(), user, { role }),
    );
  users
    .command('disable <user>')
    .description('end a user’s sessions and API keys, and open none')
    .action(async (user: string, _flags: unknown, command: Command) =>
      change(context, command.optsWithGlobals(), user, { disabled: true }),
    );
  users
    .command('enable <user>')
    .description('take disabling back')
    .action(async (user: string, _flags: unknown, command: Command) =>
      change(context, command.optsWithGlobals(), user, { disabled: false }),
    );
}

async function change(context: Context, flags: CommonFlags, user: string, wanted: JsonObject): Promise<void> {
  const client = clientOf(context, flags);
  const all = objectsOf(await client.askAll('/users', 'users'), 'users');
  const known = all.find((each) => each['name'] === user.toLowerCase() || each['id'] === user);
  if (known === undefined) throw new CodedError('USER_UNKNOWN', `no user is called ${user}`);
  const changed = await client.ask('PATCH', `/users/${segment(textOf(known, 'id'))}`, wanted);
  const state = changed['disabled'] === true ? ', disabled' : '';
  context.print(`${textOf(changed, 'name')} is ${textOf(changed, 'role')}${state}`);
}
