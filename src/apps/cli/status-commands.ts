import { join } from 'node:path';
import type { Command } from 'commander';
import { CodedError } from '#control/coded-error.ts';
import { isObject, type JsonObject } from '#io/admin-client-http/admin-client.ts';
import { recallRestart, restartAdvice } from '../up/restart-lines.ts';
import { clientOf, type CommonFlags, type Context, printAs, segment } from './context.ts';
import { tokenCommand } from './node-commands.ts';
import { ENDED, PEERS, showPerNode, STREAMS } from './per-node.ts';
import { cellText, dateText, formatTable, isUp, member, objectsOf, stateText, textOf } from './table.ts';
import { missingWays } from './ways.ts';

interface StreamsFlags extends CommonFlags {
  readonly ended?: boolean;
}

interface PingFlags extends CommonFlags {
  readonly from?: string;
}

/** `x0 status`, `peers`, `streams`, `path`, `ping`. */
export function addStatusCommands(program: Command, context: Context): void {
  program
    .command('status')
    .description('show nodes, their links and services')
    .option('--json', 'print JSON')
    .action(async (_flags: unknown, command: Command) => showStatus(context, command.optsWithGlobals()));
  program
    .command('peers [node]')
    .description('show the live, authenticated neighbours of a node, or of all')
    .option('--json', 'print JSON')
    .action(async (node: string | undefined, _flags: unknown, command: Command) =>
      showPerNode(context, command.optsWithGlobals(), node, PEERS),
    );
  program
    .command('streams [node]')
    .description('show the open streams of a node, or of all')
    .option('--ended', 'show those that ended lately, and why')
    .option('--json', 'print JSON')
    .action(async (node: string | undefined, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<StreamsFlags>();
      await showPerNode(context, flags, node, flags.ended === true ? ENDED : STREAMS);
    });
  program
    .command('path <from> <to>')
    .description('show the path between two nodes and its backup, disjoint where the graph allows')
    .option('--json', 'print JSON')
    .action(async (from: string, to: string, _flags: unknown, command: Command) =>
      showPath(context, command.optsWithGlobals(), from, to),
    );
  program
    .command('ping <node>')
    .description('measure a round trip through the mesh')
    .option('--from <node>', 'node that asks (default: the first other node that is up, an end rather than a relay)')
    .option('--json', 'print JSON')
    .action(async (node: string, _flags: unknown, command: Command) => ping(context, command.optsWithGlobals(), node));
}

async function showStatus(context: Context, flags: CommonFlags): Promise<void> {
  const status = await clientOf(context, flags).ask('GET', '/status');
  printAs(context, flags, status, () => {
    const nodes = formatTable(STATUS_COLUMNS, objectsOf(status, 'nodes'), 'no node was admitted yet');
    const blocks = `${problemsBlock(objectsOf(status, 'nodes'))}${waysBlock(context, status)}${downBlock(context, flags, objectsOf(status, 'nodes'))}`;
    const services = formatTable(
      [member('SERVICE', 'name'), member('NODES', 'nodes')],
      objectsOf(status, 'services'),
      'no service is published',
    );
    return `${nodes}\n\n${services}${blocks}`;
  });
}

/** What nodes that are up say is wrong; empty when nothing is. */
function problemsBlock(nodes: readonly JsonObject[]): string {
  const rows = nodes
    .filter((node) => node['state'] === 'up')
    .flatMap((node) => objectsOf(node, 'problems').map((problem) => ({ node: node['name'], ...problem })));
  if (rows.length === 0) return '';
  const columns = [member('PROBLEM AT NODE', 'node'), member('CODE', 'code'), member('WHAT', 'message')];
  return `\n\n${formatTable(columns, rows, '')}`;
}

function waysBlock(context: Context, status: JsonObject): string {
  const missing = missingWays(objectsOf(status, 'nodes'), context.config.command);
  return missing === '' ? '' : `\n\n${missing}`;
}

/** Since when nodes are down, where the log is, and how they come back. */
function downBlock(context: Context, flags: CommonFlags, nodes: readonly JsonObject[]): string {
  const lines = nodes
    .filter((node) => !isUp(node))
    .map((node) => {
      const name = textOf(node, 'name');
      if (stateText(node) === 'revoked')
        return `${name} is revoked; ${tokenCommand(context, flags, node)} admits it again`;
      const since =
        typeof node['heardAt'] === 'string' ? dateText(node['heardAt']) : 'before the control plane started';
      const dataDir = flags.dataDir ?? context.config.dataDir;
      const line = recallRestart(dataDir, name);
      if (stateText(node) === 'drained')
        return `${name} was drained and stopped ${since}; ${line === undefined ? 'start it again where it ran' : restartAdvice(line)}`;
      if (line === undefined) return `${name} is down since ${since}; see its log, and start it again`;
      return `${name} is down since ${since}; if \`${context.config.command} up\` started it, its log is ${join(dataDir, 'logs', `${name}.log`)}; ${restartAdvice(line)}`;
    });
  return lines.length === 0 ? '' : `\n\n${lines.join('\n')}`;
}

const STATUS_COLUMNS = [
  member('NODE', 'name'),
  { title: 'STATE', show: stateText },
  member('RELAY', 'relay'),
  member('PID', 'pid'),
  { title: 'LINK', show: (row: JsonObject) => listenOf(row, 'link') },
  { title: 'SOCKS', show: (row: JsonObject) => listenOf(row, 'socks') },
  { title: 'HTTP', show: (row: JsonObject) => listenOf(row, 'http') },
  { title: 'PEERS', show: (row: JsonObject) => cellText(objectsOf(row, 'peers').map((peer) => peer['name'])) },
  { title: 'SNAPSHOT', show: snapshotText },
  member('SERVICES', 'services'),
];

/** The version that a node goes by, and how long ago it was signed. */
function snapshotText(row: JsonObject): string {
  const { snapshotVersion, snapshotIssuedAt } = row;
  if (!isUp(row) || typeof snapshotIssuedAt !== 'string') return '-';
  const ageSeconds = Math.max(0, Math.round((Date.now() - Date.parse(snapshotIssuedAt)) / 1_000));
  return `${cellText(snapshotVersion)}, ${ageSeconds} s old`;
}

function listenOf(node: JsonObject, key: string): string {
  const listen = node['listen'];
  return isObject(listen) ? cellText(listen[key]) : '-';
}

async function showPath(context: Context, flags: CommonFlags, from: string, to: string): Promise<void> {
  const path = await clientOf(context, flags).ask('GET', `/nodes/${segment(from)}/path?to=${segment(to)}`);
  if (flags.json !== true && !isObject(path['primary']))
    throw new CodedError('NO_PATH', `${from} knows no path to ${to}`);
  printAs(
    context,
    flags,
    path,
    () =>
      `primary  ${pathLine(from, path['primary'])}\nbackup   ${pathLine(from, path['backup'])}${protectionText(path)}`,
  );
}

function protectionText(path: JsonObject): string {
  if (path['protected'] !== false) return '';
  return '\nnot protected: no two paths without a common relay exist, the death of one relay may cut both nodes apart';
}

function pathLine(from: string, path: unknown): string {
  if (!isObject(path)) return 'none';
  const hops = Array.isArray(path['hops']) ? path['hops'].map(cellText) : [];
  const all = hops[0] === from ? hops : [from, ...hops];
  return `${all.join(' > ')}  cost ${textOf(path, 'cost')}`;
}

async function ping(context: Context, flags: PingFlags, to: string): Promise<void> {
  const client = clientOf(context, flags);
  const nodes = objectsOf(await client.ask('GET', '/status'), 'nodes');
  const target = nodes.find((node) => node['name'] === to);
  if (target !== undefined && stateText(target) === 'revoked') throw new CodedError('NODE_REVOKED', `${to} is revoked`);
  if (target !== undefined && !isUp(target)) throw new CodedError('NODE_DOWN', `${to} is down`);
  const from = flags.from ?? pingSource(nodes, to);
  if (from === undefined) throw new CodedError('NODE_DOWN', 'no other node is up to ask from');
  const answer = await client.ask('GET', `/nodes/${segment(from)}/ping?to=${segment(to)}`);
  const { rttMs, path } = answer;
  printAs(context, flags, { from, to, rttMs, path }, () => `${from} > ${to}: ${textOf(answer, 'rttMs')} ms`);
}

/** An end sees what a user of the mesh sees; a relay is asked only when no end is up. */
function pingSource(nodes: readonly JsonObject[], to: string): string | undefined {
  const others = nodes.filter((node) => node['state'] === 'up' && node['name'] !== to);
  const source = others.find((node) => node['relay'] !== true) ?? others[0];
  return source === undefined ? undefined : textOf(source, 'name');
}
