import { shellWord } from '#kernel/plain-text.ts';
import { formatHostPort } from '#io/edge-listener/host-port.ts';
import { formatJoinLine } from '../node/join-line.ts';
import type { UpConfig } from './config.ts';
import { controlArguments, type MeshPlan, nodeArguments, type PlannedNode } from './plan.ts';

/** A node that may join, and its token. */
export interface Guest {
  readonly node: string;
  readonly token: string;
}

/** What lets others in. */
export interface BannerCodes {
  readonly guest: Guest | undefined;
  /** Undefined when there is an admin. */
  readonly firstCode: string | undefined;
}

/** What `x0 up` says once the mesh serves. `running` are the nodes of the plan that were started, `guest` is one more node that may join. */
export function formatBanner(
  config: UpConfig,
  plan: MeshPlan,
  running: readonly PlannedNode[],
  { guest, firstCode }: BannerCodes,
  tookMs: number,
): string {
  const ask = ownCommand(config);
  const reach =
    config.host === '127.0.0.1'
      ? 'on this machine; for others start with --host ADDRESS'
      : 'on any machine that reaches this one';
  return [
    '',
    `x0tta6bl4 is up: a control plane and ${running.length} nodes, in ${(tookMs / 1000).toFixed(1)} s. State and logs: ${config.dataDir}`,
    '',
    ...nodeLines(running),
    `  control plane: administration ${formatHostPort(plan.controlAdmin)}, enrolment ${formatHostPort(plan.enrolment)}`,
    ...skippedLines(config, plan, running),
    '',
    ...helloLines(plan, running),
    'Look around:',
    ...['status', 'peers', `path ${plan.clientNode} ${plan.helloNode}`, '--help'].map((what) => `  ${ask} ${what}`),
    '',
    `Add a machine (${reach}; the token works once, for an hour):`,
    `  ${guestLine(config, guest)}`,
    '',
    ...apiLines(config, plan, firstCode),
    'What may reach what: ./x0 policy list. Ctrl-C stops everything that this started.',
    '',
  ].join('\n');
}

/** The command, with the data directory if it is another than it finds by itself. */
function ownCommand({ command, dataDir, isDefaultDataDir }: UpConfig): string {
  return isDefaultDataDir ? command : `${command} --data-dir ${shellWord(dataDir)}`;
}

function apiLines(config: UpConfig, plan: MeshPlan, firstCode: string | undefined): readonly string[] {
  const docs = `The API and its documents: http://${formatHostPort(plan.controlAdmin)}/docs`;
  if (firstCode === undefined) return [docs, ''];
  return [
    `${docs}. Become its first admin (once; the password is asked for):`,
    `  ${ownCommand(config)} register ${firstCode} --name NAME`,
    '',
  ];
}

function guestLine(config: UpConfig, guest: Guest | undefined): string {
  if (guest === undefined) return `${ownCommand(config)} token create --node NAME`;
  return formatJoinLine({ ...guest, command: config.command, dataDir: config.dataDir });
}

function skippedLines(config: UpConfig, plan: MeshPlan, running: readonly PlannedNode[]): readonly string[] {
  return plan.nodes
    .filter((node) => !running.includes(node))
    .map(({ name }) => `  ${name} is not started: ${formatReadmission(config, plan, name)}`);
}

/** How a node of the plan whose identity is worth nothing any more comes back. */
export function formatReadmission(config: UpConfig, plan: MeshPlan, name: string): string {
  const directory = plan.nodes.find((each) => each.name === name)?.dataDir ?? '';
  return `it was revoked, or admitted again elsewhere. To have it here again: Ctrl-C, rm -r ${shellWord(directory)}, ${ownCommand(config)} up`;
}

function helloLines(plan: MeshPlan, running: readonly PlannedNode[]): readonly string[] {
  const { clientNode, helloNode } = plan;
  const client = running.find((node) => node.name === clientNode);
  if (client === undefined || !running.some((node) => node.name === helloNode)) return [];
  return [
    `Service hello is published by ${helloNode}. Reach it through ${clientNode}, which has no link to ${helloNode}:`,
    `  curl --proxy socks5h://${formatHostPort(client.socks)} http://hello.mesh/`,
    '',
  ];
}

function nodeLines(nodes: readonly PlannedNode[]): readonly string[] {
  const title = ['NODE', 'ROLE', 'LINK', 'SOCKS5', 'HTTP PROXY', 'ADMIN'];
  const rows = nodes.map((node) => [
    node.name,
    node.relay ? 'relay' : 'end',
    formatHostPort(node.link),
    formatHostPort(node.socks),
    formatHostPort(node.http),
    formatHostPort(node.admin),
  ]);
  const widths = title.map((_, column) => Math.max(...[title, ...rows].map((row) => (row[column] ?? '').length)));
  return [title, ...rows].map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
}

/** How to start a program of the mesh again by hand. */
export function formatRestart(config: UpConfig, plan: MeshPlan, name: string): string {
  const node = plan.nodes.find((each) => each.name === name);
  const args = node === undefined ? controlArguments(plan, config.dataDir) : nodeArguments(plan, node);
  return [config.command, ...args.map(shellWord)].join(' ');
}

/** The same for every node, by its name. */
export function restartLines(config: UpConfig, plan: MeshPlan): Readonly<Record<string, string>> {
  return Object.fromEntries(plan.nodes.map(({ name }) => [name, formatRestart(config, plan, name)]));
}
