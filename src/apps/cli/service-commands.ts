import type { Command } from 'commander';
import { type AdminClient, isObject, type JsonObject } from '#io/admin-client-http/admin-client.ts';
import { formatHostPort } from '#io/edge-listener/host-port.ts';
import { allowGroup, dropGroups } from './expose-policies.ts';
import { collect } from './node-commands.ts';
import { clientOf, type CommonFlags, type Context, printAs, readHostPort, segment } from './context.ts';
import { cellText, formatTable, member, objectsOf, stateText, textOf } from './table.ts';

interface ExposeFlags extends CommonFlags {
  readonly to: string;
  readonly node: string;
  readonly proxyProtocol?: boolean;
  readonly allow?: readonly string[];
}

interface ForwardFlags extends CommonFlags {
  readonly listen: string;
  readonly node: string;
}

/** `x0 expose`, `unexpose`, `forward`, `unforward`, `services`. */
export function addServiceCommands(program: Command, context: Context): void {
  addExpose(program, context);
  addForward(program, context);
  program
    .command('services')
    .description('list the published services')
    .option('--json', 'print JSON')
    .action(async (_flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<CommonFlags>();
      const client = clientOf(context, flags);
      const services = await client.askAll('/services', 'services', 'forwards');
      const down = flags.json === true ? new Map<string, string>() : await namesDown(client);
      printAs(context, flags, services, () => `${servicesTable(services, down)}${forwardsTable(services)}`);
    });
}

/** Nodes that serve nobody now, and why. */
async function namesDown(client: AdminClient): Promise<ReadonlyMap<string, string>> {
  const nodes = objectsOf(await client.askAll('/nodes', 'nodes'), 'nodes');
  return new Map(
    nodes.map((node) => [textOf(node, 'name'), stateText(node)] as const).filter(([, state]) => state !== 'up'),
  );
}

function servicesTable(services: JsonObject, down: ReadonlyMap<string, string>): string {
  const columns = [
    member('SERVICE', 'name'),
    { title: 'INSTANCES', show: (row: JsonObject) => instanceList(row, down) },
    { title: 'REACH IT AT', show: (row: JsonObject) => `${textOf(row, 'name')}.mesh` },
  ];
  return formatTable(columns, objectsOf(services, 'services'), 'no service is published');
}

function forwardsTable(services: JsonObject): string {
  const forwards = objectsOf(services, 'forwards');
  if (forwards.length === 0) return '';
  const columns = [
    member('FORWARD AT NODE', 'node'),
    { title: 'LISTENS ON', show: addressOf },
    { title: 'LEADS TO', show: (row: JsonObject) => `${textOf(row, 'service')}.mesh` },
  ];
  return `\n\n${formatTable(columns, forwards, '')}`;
}

function addressOf(row: JsonObject): string {
  return formatHostPort({ host: textOf(row, 'host'), port: Number(row['port']) });
}

function instanceList(service: JsonObject, down: ReadonlyMap<string, string>): string {
  const instances = objectsOf(service, 'instances');
  if (instances.length === 0) return cellText(service['nodes']);
  return instances
    .map((each) => {
      const state = down.get(textOf(each, 'node'));
      const marks = [...(each['proxyProtocol'] === true ? ['PROXY v2'] : []), ...(state === undefined ? [] : [state])];
      return `${textOf(each, 'node')} (${[addressOf(each), ...marks].join(', ')})`;
    })
    .join(', ');
}

function addExpose(program: Command, context: Context): void {
  program
    .command('expose <service>')
    .description('publish a service: members reach it as SERVICE.mesh')
    .requiredOption('--to <host:port>', 'where the service listens, as seen from the node')
    .requiredOption('--node <name>', 'node beside the service')
    .option('--allow <group>', 'let a group reach it: members, or a label KEY=VALUE (repeatable)', collect)
    .option('--proxy-protocol', 'give the service the caller’s SPIFFE ID in a PROXY v2 header')
    .action(async (service: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<ExposeFlags>();
      const { host, port } = readHostPort('--to', flags.to);
      const body = { host, port, proxyProtocol: flags.proxyProtocol ?? false };
      const answer = await clientOf(context, flags).ask('PUT', instancePath(service, flags.node), body);
      const replaced = replacedText(answer);
      context.print(
        `${service}.mesh leads to ${flags.to} on ${flags.node}${replaced}${uncheckedText(answer, flags.node)}`,
      );
      for (const group of flags.allow ?? []) {
        const policy = await allowGroup(clientOf(context, flags), service, group);
        context.print(`the policy ${policy} lets ${group} reach ${service}`);
      }
      for (const loop of objectsOf(answer, 'loops')) context.warn(loopText(flags, loop));
    });
  program
    .command('unexpose <service>')
    .description('take a service of a node back')
    .requiredOption('--node <name>', 'node that publishes it')
    .action(async (service: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<ExposeFlags>();
      const client = clientOf(context, flags);
      await client.ask('DELETE', instancePath(service, flags.node));
      context.print(`${flags.node} no longer publishes ${service}`);
      for (const policy of await dropGroups(client, service)) context.print(`the policy ${policy} is deleted`);
    });
}

function addForward(program: Command, context: Context): void {
  program
    .command('forward <service>')
    .description('open a local port of a node that leads to a service')
    .requiredOption('--listen <host:port>', 'where the node listens')
    .requiredOption('--node <name>', 'node that listens')
    .action(async (service: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<ForwardFlags>();
      const { host, port } = readHostPort('--listen', flags.listen);
      const answer = await clientOf(context, flags).ask('PUT', forwardPath(service, flags.node), { host, port });
      context.print(`${flags.listen} on ${flags.node} leads to ${service}${uncheckedText(answer, flags.node)}`);
    });
  program
    .command('unforward <service>')
    .description('close a local port again')
    .requiredOption('--node <name>', 'node that listens')
    .action(async (service: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<ForwardFlags>();
      await clientOf(context, flags).ask('DELETE', forwardPath(service, flags.node));
      context.print(`${flags.node} no longer forwards ${service}`);
    });
}

/** An earlier target of the service at this node, if it was another. */
function replacedText(answer: JsonObject): string {
  const { replaced } = answer;
  if (!isObject(replaced) || addressOf(replaced) === addressOf(answer)) return '';
  return `, no longer to ${addressOf(replaced)}`;
}

function loopText({ to, node }: ExposeFlags, forward: JsonObject): string {
  const name = textOf(forward, 'node');
  return `x0: at ${to} ${name} forwards ${textOf(forward, 'service')}: if ${name} and ${node} run on one host this leads back into the mesh`;
}

/** What a node could not be asked about is stored, and said to be. */
function uncheckedText(answer: JsonObject, node: string): string {
  const code = answer['unchecked'];
  if (typeof code !== 'string') return '';
  if (code === 'NODE_DOWN')
    return `\nthis is stored, but ${node} is down: it takes effect when ${node} runs (x0 status)`;
  return `\nthis is stored, but ${node} did not confirm it (${cellText(code)}): look for problems in x0 status`;
}

function instancePath(service: string, node: string): string {
  return `/services/${segment(service)}/instances/${segment(node)}`;
}

function forwardPath(service: string, node: string): string {
  return `/nodes/${segment(node)}/forwards/${segment(service)}`;
}
