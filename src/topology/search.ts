import type { Graph } from '#topology/graph.ts';
import { Heap } from '#topology/heap.ts';

/** What a search may use and how dear it is. Weights are positive (transit: not negative) and their sums safe integers. */
export interface Weights {
  /** Of standing in the middle at `name`; undefined: may not. */
  transit(name: string): number | undefined;
  /** Of the link between two nodes of this cost; undefined: may not be used. */
  link(a: string, b: string, cost: number): number | undefined;
}

interface Label {
  readonly name: string;
  readonly weight: number;
  readonly hops: number;
  readonly next: Label | undefined;
}

/**
 * Dijkstra with a limit on hops: the least weight, of equals the fewest hops, of equals the lowest names in order.
 * Runs from `to` backwards, so that a tie is settled by the next hop's name; a node keeps a label for each number of hops that pays.
 */
export function searchHops(
  graph: Graph,
  from: string,
  to: string,
  weights: Weights,
  maxHops: number,
): readonly string[] | undefined {
  if (from === to || !graph.has(from) || !graph.has(to)) return undefined;
  const heap = new Heap<Label>(compareLabels);
  const settledHops = new Map<string, number>();
  heap.push({ name: to, weight: 0, hops: 0, next: undefined });
  for (let label = heap.shift(); label !== undefined; label = heap.shift()) {
    if (label.name === from) return hopsOf(label);
    if ((settledHops.get(label.name) ?? Infinity) <= label.hops) continue;
    settledHops.set(label.name, label.hops);
    if (label.hops < maxHops) expand(graph, weights, heap, label, from, settledHops);
  }
  return undefined;
}

function expand(
  graph: Graph,
  weights: Weights,
  heap: Heap<Label>,
  label: Label,
  from: string,
  settledHops: ReadonlyMap<string, number>,
): void {
  const transit = label.next === undefined ? 0 : weights.transit(label.name);
  if (transit === undefined) return;
  const hops = label.hops + 1;
  for (const [name, cost] of graph.links(label.name)) {
    if (name !== from && !graph.transit(name)) continue;
    if ((settledHops.get(name) ?? Infinity) <= hops) continue;
    const link = weights.link(name, label.name, cost);
    if (link !== undefined) heap.push({ name, weight: label.weight + transit + link, hops, next: label });
  }
}

function compareLabels(a: Label, b: Label): number {
  return a.weight - b.weight || a.hops - b.hops || compareNames(a.name, b.name) || compareNames(nextOf(a), nextOf(b));
}

function nextOf(label: Label): string {
  return label.next?.name ?? '';
}

function hopsOf(first: Label): string[] {
  const hops: string[] = [];
  for (let label = first.next; label !== undefined; label = label.next) hops.push(label.name);
  return hops;
}

/** By code unit, the same on every machine. */
export function compareNames(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
