import { SeededRandom } from '#kernel/random.ts';
import type { NodeProcess } from '../host/node-process.ts';
import { possibleLinks, spread } from '../world/mesh-plan.ts';
import { shuffled } from '../world/topologies.ts';
import type { World } from '../world/world.ts';

/** Pairs looked at each time: all of a mesh of 15, a sample of a larger one. */
const MAX_PAIRS = 210;

/** Which links there really are, seen from above: both ends hold the same one and say that it is up. */
export function trueLinks(world: World): ReadonlyMap<string, ReadonlySet<string>> {
  const claims = new Map<string, Set<string>>();
  for (const process of world.running()) {
    const peers = new Set<string>();
    for (const tunnel of process.links.tunnels()) if (tunnel.state === 'up') peers.add(tunnel.peer.name);
    claims.set(process.name, peers);
  }
  const links = new Map<string, Set<string>>();
  for (const [name, peers] of claims)
    links.set(name, new Set([...peers].filter((peer) => claims.get(peer)?.has(name) === true)));
  return links;
}

/** What is wrong with the links or the routing of a mesh. */
interface RoutingFault {
  /** A link may come late, because dialling backs off; what is known of links may not. */
  readonly kind: 'link' | 'graph' | 'path';
  readonly detail: string;
  readonly names: readonly string[];
}

/** Why the mesh is not as it should be, or undefined when it is: every link up, known to all, and a right path between every connected pair. */
export function findRoutingFault(world: World): RoutingFault | undefined {
  const links = trueLinks(world);
  for (const [a, b] of wantedLinks(world))
    if (links.get(a)?.has(b) !== true) return { kind: 'link', detail: `no link between ${a} and ${b}`, names: [a, b] };
  const running = world.running();
  for (const process of running) {
    const fault = findGraphFault(process, links);
    if (fault !== undefined) return { kind: 'graph', ...fault };
  }
  const pairs = running.flatMap((from) => running.filter((to) => to !== from).map((to) => [from, to] as const));
  const sample =
    pairs.length <= MAX_PAIRS ? pairs : shuffled(new SeededRandom(pairs.length), pairs).slice(0, MAX_PAIRS);
  for (const [from, to] of sample) {
    const fault = findPathFault(world, links, from, to.name);
    if (fault !== undefined) return { kind: 'path', detail: fault, names: [from.name, to.name] };
  }
  return undefined;
}

/** A node that can be reached knows of all links among those that can reach it, and of no others. */
export function findGraphFault(
  process: NodeProcess,
  links: ReadonlyMap<string, ReadonlySet<string>>,
): { readonly detail: string; readonly names: readonly string[] } | undefined {
  const graph = process.node.linkState.graph();
  const joined = new Set([process.name]);
  for (const name of joined) for (const peer of links.get(name) ?? []) joined.add(peer);
  for (const name of joined) {
    const known = graph.links(name);
    const real = links.get(name) ?? new Set();
    const missing = [...real].find((peer) => !known.has(peer));
    const extra = [...known.keys()].find((peer) => joined.has(peer) && !real.has(peer));
    const wrong = missing ?? extra;
    if (wrong === undefined) continue;
    const what = missing === undefined ? 'still believes in' : 'does not know of';
    return { detail: `${process.name} ${what} the link ${name}–${wrong}`, names: [process.name, name, wrong] };
  }
  return undefined;
}

/** Changes when a link comes or goes, also when it is back at once. */
export function linksKey(world: World): string {
  return world
    .running()
    .map(({ name, links }) => {
      const up = [...links.tunnels()].filter(({ state }) => state === 'up');
      return `${name}:${up.map(({ id, peer }) => `${peer.name}#${id}`).join()}`;
    })
    .join(' ');
}

function wantedLinks(world: World): readonly (readonly [string, string])[] {
  const isThere = (name: string): boolean => world.machine(name).running !== undefined && !world.revoked.has(name);
  return possibleLinks(world.plan).filter(([a, b]) => isThere(a) && isThere(b));
}

function findPathFault(
  world: World,
  links: ReadonlyMap<string, ReadonlySet<string>>,
  from: NodeProcess,
  to: string,
): string | undefined {
  const { primary } = from.node.linkState.path(to);
  if (primary === undefined) {
    const isReachable = reachable(world, links, from.name).has(to);
    return isReachable ? `${from.name} knows no path to ${to}` : undefined;
  }
  let at = from.name;
  for (const [index, hop] of primary.hops.entries()) {
    if (links.get(at)?.has(hop) !== true) return `${from.name}'s path to ${to} uses ${at}–${hop}, which is not there`;
    const isLast = index === primary.hops.length - 1;
    if (!isLast && !world.machine(hop).member.relay) return `${from.name}'s path to ${to} runs through ${hop}`;
    at = hop;
  }
  return undefined;
}

/** What can be reached over links that are there. */
function reachable(world: World, links: ReadonlyMap<string, ReadonlySet<string>>, from: string): ReadonlySet<string> {
  return spread(from, (name) => (name === from || world.machine(name).member.relay ? (links.get(name) ?? []) : []));
}
