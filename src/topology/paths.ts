import { disjointHops } from '#topology/bhandari.ts';
import type { Graph } from '#topology/graph.ts';
import { compareNames, searchHops, type Weights } from '#topology/search.ts';

/** OPEN names at most this many hops: seven relays and the destination. */
export const MAX_HOPS = 8;

/** More than all links of a path can cost together: no detour is too dear to spare a draining relay. */
const DRAINING_WEIGHT = 2 ** 23;
/** More than all draining relays of a path. */
const SHARED_LINK_WEIGHT = 2 ** 27;
/** More than all shared links of a path. */
const SHARED_RELAY_WEIGHT = 2 ** 31;
/** More than any two paths without a limit on hops can weigh, with 2^12 nodes. */
const HOP_WEIGHT = 2 ** 38;

/** A way through the mesh. */
export interface Path {
  /** The nodes after the origin, in order; the last one is the destination. One to {@link MAX_HOPS}. */
  readonly hops: readonly string[];
  /** The sum of the costs of its links. */
  readonly cost: number;
}

/** What a node keeps for a destination. */
export interface PathPair {
  /** Absent where the destination cannot be reached. */
  readonly primary?: Path;
  /** Another way; shares no relay with the primary exactly when `protected`. */
  readonly backup?: Path;
  /** Whether losing any one relay, or a direct link, of the primary leaves the backup whole. */
  readonly protected: boolean;
}

/** The cheapest path of at most {@link MAX_HOPS} hops, around draining relays where possible; of equals the one with fewer hops, then the lowest names. */
export function shortestPath(graph: Graph, from: string, to: string): Path | undefined {
  return search(graph, from, to, plainWeights(graph));
}

/**
 * Primary and backup from `from` to `to`. The primary is the shortest path wherever another path shares no relay with it;
 * else the cheaper of the cheapest pair that shares none; else the shortest path with the backup that shares least.
 * With the limit on hops, pairs are looked for by cost and by hops: a graph that has only longer ones may get the third answer.
 */
export function disjointPair(graph: Graph, from: string, to: string): PathPair {
  const primary = shortestPath(graph, from, to);
  if (primary === undefined) return { protected: false };
  const mate = search(graph, from, to, avoiding(graph, from, primary));
  if (mate !== undefined && drainingRelays(graph, mate) === 0) return { primary, backup: mate, protected: true };
  const pair = cheapestPair(graph, from, to);
  if (pair !== undefined && (mate === undefined || pairDrains(graph, pair) < pairDrains(graph, [primary, mate]))) {
    return { primary: pair[0], backup: pair[1], protected: true };
  }
  if (mate !== undefined) return { primary, backup: mate, protected: true };
  const backup = leastOverlap(graph, from, to, primary);
  return backup === undefined ? { primary, protected: false } : { primary, backup, protected: false };
}

function search(graph: Graph, from: string, to: string, weights: Weights): Path | undefined {
  const hops = searchHops(graph, from, to, weights, MAX_HOPS);
  return hops === undefined ? undefined : pathOf(graph, from, hops);
}

function pathOf(graph: Graph, from: string, hops: readonly string[]): Path {
  let cost = 0;
  for (const [tail, head] of steps(from, hops)) cost += graph.links(tail).get(head) ?? 0;
  return { hops, cost };
}

function steps(from: string, hops: readonly string[]): (readonly [string, string])[] {
  return hops.map((hop, index) => [hops[index - 1] ?? from, hop] as const);
}

function plainWeights(graph: Graph): Weights {
  return {
    transit(name) {
      if (!graph.transit(name)) return undefined;
      return graph.draining(name) ? DRAINING_WEIGHT : 0;
    },
    link: (_a, _b, cost) => cost,
  };
}

/** Neither the relays of `path` nor, where it has none, its one link. */
function avoiding(graph: Graph, from: string, path: Path): Weights {
  const plain = plainWeights(graph);
  const relays = new Set(path.hops.slice(0, -1));
  const links = linkKeys(from, path);
  return {
    transit: (name) => (relays.has(name) ? undefined : plain.transit(name)),
    link: (a, b, cost) => (links.has(linkKey(a, b)) ? undefined : cost),
  };
}

/** The path that shares the fewest relays with `primary`, then the fewest links; undefined where there is no other path. */
function leastOverlap(graph: Graph, from: string, to: string, primary: Path): Path | undefined {
  const plain = plainWeights(graph);
  const relays = new Set(primary.hops.slice(0, -1));
  const links = linkKeys(from, primary);
  const other = search(graph, from, to, {
    transit(name) {
      const weight = plain.transit(name);
      return weight === undefined || !relays.has(name) ? weight : weight + SHARED_RELAY_WEIGHT;
    },
    link: (a, b, cost) => cost + (links.has(linkKey(a, b)) ? SHARED_LINK_WEIGHT : 0),
  });
  return other === undefined || other.hops.join() === primary.hops.join() ? undefined : other;
}

/** By cost first; where that takes too many hops, by hops. */
function cheapestPair(graph: Graph, from: string, to: string): readonly [Path, Path] | undefined {
  const plain = plainWeights(graph);
  const byHops: Weights = { transit: (name) => plain.transit(name), link: (_a, _b, cost) => cost + HOP_WEIGHT };
  for (const weights of [plain, byHops]) {
    const found = disjointHops(graph, from, to, weights);
    if (found === undefined) return undefined;
    if (found.every((hops) => hops.length <= MAX_HOPS)) {
      const paths = found.map((hops) => pathOf(graph, from, hops)).toSorted((a, b) => comparePaths(graph, a, b));
      const [primary, backup] = paths;
      if (primary !== undefined && backup !== undefined) return [primary, backup];
    }
  }
  return undefined;
}

function comparePaths(graph: Graph, a: Path, b: Path): number {
  return (
    drainingRelays(graph, a) - drainingRelays(graph, b) ||
    a.cost - b.cost ||
    a.hops.length - b.hops.length ||
    compareNames(a.hops.join(), b.hops.join())
  );
}

function drainingRelays(graph: Graph, path: Path): number {
  return path.hops.slice(0, -1).filter((name) => graph.draining(name)).length;
}

function pairDrains(graph: Graph, [a, b]: readonly [Path, Path]): number {
  return drainingRelays(graph, a) + drainingRelays(graph, b);
}

function linkKeys(from: string, path: Path): ReadonlySet<string> {
  return new Set(steps(from, path.hops).map(([a, b]) => linkKey(a, b)));
}

/** Names hold no comma. */
function linkKey(a: string, b: string): string {
  return a < b ? `${a},${b}` : `${b},${a}`;
}
