import { present } from '#kernel/assert.ts';
import type { Graph } from '#topology/graph.ts';
import { compareNames, type Weights } from '#topology/search.ts';

interface Arc {
  readonly tail: number;
  readonly head: number;
  readonly weight: number;
  /** The opposite arc of the residual graph, by index. */
  readonly twin: number;
  open: boolean;
  readonly real: boolean;
}

interface Network {
  readonly names: readonly string[];
  readonly arcs: Arc[];
  /** Indexes of the arcs that leave a vertex; vertex 2i is where node i is entered, 2i+1 where it is left. */
  readonly leaving: number[][];
}

/**
 * Bhandari, "Survivable Networks" (1999), chapter 3: two paths of least total weight that share no node between their ends
 * and no link. Every node is split into an entry and an exit; the second search may run backwards along the first path.
 */
export function disjointHops(
  graph: Graph,
  from: string,
  to: string,
  weights: Weights,
): readonly [readonly string[], readonly string[]] | undefined {
  if (from === to || !graph.has(from) || !graph.has(to)) return undefined;
  const network = splitVertices(graph, from, to, weights);
  const source = network.names.indexOf(from) * 2 + 1;
  const sink = network.names.indexOf(to) * 2;
  for (let unit = 0; unit < 2; unit++) if (!augment(network, source, sink)) return undefined;
  return [followFlow(network, source, sink), followFlow(network, source, sink)];
}

function splitVertices(graph: Graph, from: string, to: string, weights: Weights): Network {
  const usable = (name: string) => name === from || name === to || graph.transit(name);
  const names = graph.names().filter(usable).toSorted(compareNames);
  const indexes = new Map(names.map((name, index) => [name, index]));
  const network: Network = { names, arcs: [], leaving: Array.from({ length: names.length * 2 }, () => []) };
  for (const [index, name] of names.entries()) {
    const transit = name === from || name === to ? undefined : weights.transit(name);
    if (transit !== undefined) addArc(network, index * 2, index * 2 + 1, transit);
    for (const [neighbour, cost] of [...graph.links(name)].toSorted(([a], [b]) => compareNames(a, b))) {
      const other = indexes.get(neighbour);
      const weight = weights.link(name, neighbour, cost);
      if (other !== undefined && weight !== undefined) addArc(network, index * 2 + 1, other * 2, weight);
    }
  }
  return network;
}

function addArc(network: Network, tail: number, head: number, weight: number): void {
  const { arcs, leaving } = network;
  const forward = arcs.length;
  arcs.push({ tail, head, weight, twin: forward + 1, open: true, real: true });
  arcs.push({ tail: head, head: tail, weight: -weight, twin: forward, open: false, real: false });
  leaving[tail]?.push(forward);
  leaving[head]?.push(forward + 1);
}

/** One more unit of flow along the shortest way of the residual graph, whose weights may be negative but make no negative cycle. */
function augment(network: Network, source: number, sink: number): boolean {
  const arrival = shortestArrivals(network, source);
  if (arrival[sink] === undefined) return false;
  for (let vertex = sink; vertex !== source; ) {
    const arc = at(network.arcs, present(arrival[vertex], 'a reached vertex has an arc that reaches it'));
    arc.open = false;
    at(network.arcs, arc.twin).open = true;
    vertex = arc.tail;
  }
  return true;
}

/** Bellman and Ford with a queue. Only the first path's arcs are negative, so few vertices are visited twice. */
function shortestArrivals(network: Network, source: number): (number | undefined)[] {
  const distance = network.leaving.map(() => Infinity);
  const arrival: (number | undefined)[] = network.leaving.map(() => undefined);
  const queued = new Set([source]);
  distance[source] = 0;
  for (const vertex of queued) {
    queued.delete(vertex);
    for (const index of at(network.leaving, vertex)) {
      const arc = at(network.arcs, index);
      const length = at(distance, vertex) + arc.weight;
      if (!arc.open || length >= at(distance, arc.head)) continue;
      distance[arc.head] = length;
      arrival[arc.head] = index;
      queued.add(arc.head);
    }
  }
  return arrival;
}

/** Takes one unit of flow out of the network and names the nodes that it enters. */
function followFlow(network: Network, source: number, sink: number): string[] {
  const hops: string[] = [];
  for (let vertex = source; vertex !== sink; ) {
    const used = at(network.leaving, vertex).find(
      (index) => at(network.arcs, index).real && !at(network.arcs, index).open,
    );
    const arc = at(network.arcs, present(used, 'what flows into a vertex flows out of it'));
    arc.open = true;
    vertex = arc.head;
    if (vertex % 2 === 0) hops.push(at(network.names, vertex / 2));
  }
  return hops;
}

function at<T>(items: readonly T[], index: number): T {
  return present(items[index], 'an index of this network');
}
