import { join } from 'node:path';
import { formatHostPort, type HostPort } from '#io/edge-listener/host-port.ts';
import { PORTS_OF_A_MESH } from './config.ts';

/** One of the six nodes: where it listens and whom it links to. */
export interface PlannedNode {
  readonly name: string;
  readonly relay: boolean;
  /** Fixed neighbours of an end; relays follow the automatic plan, which links them all and lets new machines in. */
  readonly links: readonly string[] | undefined;
  /** Links that must be up before the mesh counts as ready. */
  readonly expectedPeers: number;
  readonly dataDir: string;
  readonly link: HostPort;
  readonly socks: HostPort;
  readonly http: HostPort;
  readonly admin: HostPort;
}

/** Everything that `x0 up` starts. */
export interface MeshPlan {
  readonly controlAdmin: HostPort;
  readonly enrolment: HostPort;
  readonly hello: HostPort;
  /** The node beside the demo service, and the one whose proxies the printed lines use. */
  readonly helloNode: string;
  readonly clientNode: string;
  readonly nodes: readonly PlannedNode[];
}

interface Role {
  readonly name: string;
  readonly links: readonly string[] | undefined;
}

/** Two ends, and between them two paths that share no relay: oslo–rome–cairo–lima and oslo–delhi–kyoto–lima. */
const ROLES: readonly Role[] = [
  { name: 'oslo', links: ['rome', 'delhi'] },
  { name: 'lima', links: ['cairo', 'kyoto'] },
  { name: 'rome', links: undefined },
  { name: 'delhi', links: undefined },
  { name: 'cairo', links: undefined },
  { name: 'kyoto', links: undefined },
];
const RELAY_COUNT = ROLES.filter((role) => role.links === undefined).length;
const LOOPBACK = '127.0.0.1';

/** The documented ports: administration 8000, enrolment 8443, hello 8090, then by node 7101…, 1080…, 8081…, 7201…. */
export function defaultPorts(): readonly number[] {
  return [8000, 8443, 8090, ...ROLES.flatMap((_, index) => [7101 + index, 1080 + index, 8081 + index, 7201 + index])];
}

/** The same in one block from `base`. */
export function portBlock(base: number): readonly number[] {
  return Array.from({ length: PORTS_OF_A_MESH }, (_, index) => base + index);
}

/** Lays the mesh out; `ports` are in the order of {@link defaultPorts}. */
export function planMesh(dataDir: string, host: string, ports: readonly number[]): MeshPlan {
  const at = (index: number, address = LOOPBACK): HostPort => ({ host: address, port: ports[index] ?? 0 });
  const nodes = ROLES.map(({ name, links }, index): PlannedNode => {
    const first = 3 + index * 4;
    const relay = links === undefined;
    return {
      name,
      relay,
      links,
      expectedPeers: links?.length ?? RELAY_COUNT,
      dataDir: join(dataDir, 'nodes', name),
      link: at(first, relay ? host : LOOPBACK),
      socks: at(first + 1),
      http: at(first + 2),
      admin: at(first + 3),
    };
  });
  return { controlAdmin: at(0), enrolment: at(1, host), hello: at(2), helloNode: 'lima', clientNode: 'oslo', nodes };
}

/** Every address of the plan, for a look whether it is free. */
export function plannedAddresses(plan: MeshPlan): readonly HostPort[] {
  return [
    plan.controlAdmin,
    plan.enrolment,
    plan.hello,
    ...plan.nodes.flatMap((node) => [node.link, node.socks, node.http, node.admin]),
  ];
}

/** Every port of the plan but the demo service's, as `--protect-ports` takes them. */
function protectedPorts(plan: MeshPlan): string {
  const addresses = plannedAddresses(plan).filter((address) => address !== plan.hello);
  const ports = [...new Set(addresses.map(({ port }) => port))].toSorted((a, b) => a - b);
  const ranges: [number, number][] = [];
  for (const port of ports) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === port - 1) last[1] = port;
    else ranges.push([port, port]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

/** The arguments of `x0` that run this node. */
export function nodeArguments(plan: MeshPlan, node: PlannedNode): readonly string[] {
  return [
    'node',
    '--data-dir',
    node.dataDir,
    // The ports may be others than those of the start at which the node joined.
    '--control',
    formatHostPort(plan.enrolment),
    '--link',
    formatHostPort(node.link),
    ...(node.relay ? ['--relay'] : []),
    '--socks',
    formatHostPort(node.socks),
    '--http',
    formatHostPort(node.http),
    '--admin',
    formatHostPort(node.admin),
    '--protect-ports',
    protectedPorts(plan),
  ];
}

/** The arguments of `x0` that run the control plane. */
export function controlArguments(plan: MeshPlan, dataDir: string): readonly string[] {
  return [
    'control',
    '--data-dir',
    dataDir,
    '--admin',
    formatHostPort(plan.controlAdmin),
    '--listen',
    formatHostPort(plan.enrolment),
    '--allow-members',
  ];
}
