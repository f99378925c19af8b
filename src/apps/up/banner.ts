import { formatHostPort } from '#io/edge-listener/host-port.ts';
import type { UpConfig } from './config.ts';
import { controlArguments, type MeshPlan, nodeArguments, type PlannedNode } from './plan.ts';

/** What `x0 up` says once the mesh serves. `join` is the token for one more machine. */
export function formatBanner(config: UpConfig, plan: MeshPlan, join: string, tookMs: number): string {
  const { command } = config;
  const ask = config.isDefaultDataDir ? command : `${command} --data-dir ${quoteForShell(config.dataDir)}`;
  const client = plan.nodes.find((node) => node.name === plan.clientNode);
  const socks = client === undefined ? '' : formatHostPort(client.socks);
  const reach =
    config.host === '127.0.0.1'
      ? 'on this machine; for others start with --host ADDRESS'
      : 'on any machine that reaches this one';
  return [
    '',
    `x0tta6bl4 is up: a control plane and ${plan.nodes.length} nodes, in ${(tookMs / 1000).toFixed(1)} s. State and logs: ${config.dataDir}`,
    '',
    ...nodeLines(plan.nodes),
    `  control plane: administration ${formatHostPort(plan.controlAdmin)}, enrolment ${formatHostPort(plan.enrolment)}`,
    '',
    `Service hello is published by ${plan.helloNode}. Reach it through ${plan.clientNode}, which has no link to ${plan.helloNode}:`,
    `  curl --proxy socks5h://${socks} http://hello.mesh/`,
    '',
    'Look around:',
    ...['status', 'peers', `path ${plan.clientNode} ${plan.helloNode}`, '--help'].map((what) => `  ${ask} ${what}`),
    '',
    `Add a machine (${reach}; the token works once, for an hour):`,
    `  ${command} node --join ${join}`,
    '',
    'Until policies exist every member reaches every service. Ctrl-C stops everything.',
    '',
  ].join('\n');
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
  return [config.command, ...args.map(quoteForShell)].join(' ');
}

function quoteForShell(text: string): string {
  return /^[\w./:@%+=,[\]-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
