import type { Command } from 'commander';
import { shellWord } from '#kernel/plain-text.ts';
import { CodedError } from '#control/coded-error.ts';
import { isObject, type JsonObject } from '#io/admin-client-http/admin-client.ts';
import { clientOf, type CommonFlags, type Context, printAs, segment } from './context.ts';
import { cellText, type Column, dateText, formatTable, member, objectsOf, stateText, textOf } from './table.ts';

interface TokenFlags extends CommonFlags {
  readonly node: string;
  readonly label?: readonly string[];
  readonly link?: readonly string[];
  readonly relay?: boolean;
  readonly ttl?: string;
  readonly approve?: boolean;
}

const NODE_COLUMNS: readonly Column[] = [
  member('NODE', 'name'),
  { title: 'STATE', show: stateText },
  member('RELAY', 'relay'),
  member('ADDRESSES', 'addresses'),
  { title: 'CERTIFICATE UNTIL', show: (row) => dateText(row['notAfter']) },
];

/** Collects a repeatable option. */
export function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}

const TOKEN_COLUMNS: readonly Column[] = [
  member('TOKEN', 'id'),
  member('NODE', 'node'),
  { title: 'UNTIL', show: (row) => dateText(row['expiresAt']) },
  { title: 'USED', show: (row) => (row['usedAt'] === null ? '-' : dateText(row['usedAt'])) },
];

/** `x0 token …`. */
export function addTokenCommands(program: Command, context: Context): void {
  const token = program.command('token').description('join tokens: one use, short life, bound to a node name');
  token
    .command('create')
    .description('make a join token for a new node')
    .requiredOption('--node <name>', 'name of the node that may join')
    .option('--label <key=value>', 'label of the node (repeatable)', collect)
    .option('--relay', 'the node forwards circuits of others')
    .option('--link <node>', 'fixed neighbour; without it the mesh plans the links (repeatable)', collect)
    .option('--ttl <seconds>', 'life of the token (default: 3600)')
    .option('--approve', 'the node waits until `x0 node approve` lets it in')
    .action(async (_flags: unknown, command: Command) => createToken(context, command.optsWithGlobals<TokenFlags>()));
  token
    .command('list')
    .description('list join tokens, without their secrets')
    .option('--json', 'print JSON')
    .action(async (_flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<CommonFlags>();
      const found = await clientOf(context, flags).askAll('/tokens', 'tokens');
      printAs(context, flags, found, () => formatTable(TOKEN_COLUMNS, objectsOf(found, 'tokens'), 'there is no token'));
    });
  token
    .command('revoke <id>')
    .description('take back a join token that nobody has used')
    .action(async (id: string, _flags: unknown, command: Command) => {
      await clientOf(context, command.optsWithGlobals<CommonFlags>()).ask('DELETE', `/tokens/${segment(id)}`);
      context.print(`${id} joins nobody any more`);
    });
}

async function createToken(context: Context, flags: TokenFlags): Promise<void> {
  const client = clientOf(context, flags);
  const created = await client.ask('POST', '/tokens', {
    node: flags.node,
    relay: flags.relay ?? false,
    labels: Object.fromEntries((flags.label ?? []).map(parseLabel)),
    ...(flags.link === undefined ? {} : { links: flags.link }),
    ...(flags.approve === undefined ? {} : { approve: flags.approve }),
    ...(flags.ttl === undefined ? {} : { ttlSeconds: parseSeconds(flags.ttl) }),
  });
  printAs(context, flags, created, () => textOf(created, 'token'));
  const nodes = objectsOf(await client.askAll('/nodes', 'nodes'), 'nodes');
  const known = nodes.find((node) => node['name'] === flags.node);
  warnOfStrangers(context, flags, nodes);
  if (context.isTerminal)
    context.warn(`join with it: ${await joinLine(context, flags, textOf(created, 'token'), known)}`);
  if (known?.['state'] === 'up' && known['revoked'] !== true) {
    context.warn(
      `x0: ${flags.node} is up already: whoever joins with this token takes the name over, and the ${flags.node} that runs now is revoked`,
    );
  }
}

/** A neighbour that comes later is no mistake, a name that was misspelt is. */
function warnOfStrangers(context: Context, flags: TokenFlags, nodes: readonly JsonObject[]): void {
  const unknown = (flags.link ?? []).filter((name) => !nodes.some((node) => node['name'] === name));
  if (unknown.length === 0) return;
  context.warn(
    `x0: no node is called ${unknown.join(', ')} yet: ${flags.node} has only the links that --link names, once those nodes are there`,
  );
}

async function joinLine(
  context: Context,
  flags: TokenFlags,
  token: string,
  known: JsonObject | undefined,
): Promise<string> {
  // Loaded late: a script that reads the token alone does not wait for it.
  const { formatJoinLine } = await import('../node/join-line.ts');
  const { command } = context.config;
  const dataDir = flags.dataDir ?? context.config.dataDir;
  const relay = flags.relay ?? false;
  return formatJoinLine({ command, token, node: flags.node, dataDir, relay, link: addressesOf(known)[0] });
}

function addressesOf(node: JsonObject | undefined): readonly string[] {
  const addresses = node?.['addresses'];
  return Array.isArray(addresses) ? addresses.map(cellText) : [];
}

/** What makes a token for a node with the rights and neighbours that it had. */
export function tokenCommand(context: Context, flags: CommonFlags, node: JsonObject): string {
  const { links, labels } = node;
  const own = flags.dataDir === undefined ? [] : ['--data-dir', shellWord(flags.dataDir)];
  return [
    context.config.command,
    'token create --node',
    textOf(node, 'name'),
    ...(node['relay'] === true ? ['--relay'] : []),
    ...(Array.isArray(links) ? links.flatMap((link) => ['--link', cellText(link)]) : []),
    ...(isObject(labels)
      ? Object.entries(labels).flatMap(([key, value]) => ['--label', `${cellText(key)}=${cellText(value)}`])
      : []),
    ...own,
  ].join(' ');
}

function parseLabel(text: string): readonly [string, string] {
  const equals = text.indexOf('=');
  if (equals < 1) throw new CodedError('USAGE', `--label ${text}: write KEY=VALUE`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}

function parseSeconds(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new CodedError('USAGE', `--ttl ${text}: write whole seconds`);
  return Number(text);
}

/** `x0 node list` and `x0 node revoke`, under the command that runs a node. */
export function addNodeCommands(node: Command, context: Context): void {
  node
    .command('list')
    .description('list the nodes that were admitted')
    .option('--json', 'print JSON')
    .action(async (_flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<CommonFlags>();
      const nodes = await clientOf(context, flags).askAll('/nodes', 'nodes');
      printAs(context, flags, nodes, () =>
        formatTable(NODE_COLUMNS, objectsOf(nodes, 'nodes'), 'no node was admitted yet'),
      );
    });
  node
    .command('revoke <name>')
    .description('refuse the node at every handshake from now on')
    .action(async (name: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<CommonFlags>();
      const client = clientOf(context, flags);
      await client.ask('POST', `/nodes/${segment(name)}/revoke`);
      const known = objectsOf(await client.askAll('/nodes', 'nodes'), 'nodes').find((node) => node['name'] === name);
      const again = known === undefined ? 'a new token' : tokenCommand(context, flags, known);
      context.print(`${name} is revoked; ${again} admits it again`);
    });
}
