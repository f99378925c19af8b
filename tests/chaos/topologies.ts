import type { StaticNodeSpec } from '../harness/static-mesh.ts';

/** A mesh to hurt: its ends are never hurt, its relays are. */
export interface Topology {
  readonly name: string;
  /** Where streams begin and where their service is. */
  readonly ends: readonly [string, string];
  readonly relays: readonly string[];
  readonly links: readonly (readonly [string, string])[];
}

/** Two ways of one relay each. */
export const DIAMOND: Topology = {
  name: 'diamond',
  ends: ['a', 'b'],
  relays: ['r1', 'r2'],
  links: [
    ['a', 'r1'],
    ['a', 'r2'],
    ['b', 'r1'],
    ['b', 'r2'],
  ],
};

/** Two ways of two relays each. */
const RING: Topology = {
  name: 'ring of six',
  ends: ['a', 'b'],
  relays: ['r1', 'r2', 'r3', 'r4'],
  links: [
    ['a', 'r1'],
    ['r1', 'r2'],
    ['r2', 'b'],
    ['b', 'r3'],
    ['r3', 'r4'],
    ['r4', 'a'],
  ],
};

/** Nine nodes, the ends in opposite corners: each way has three relays. */
const GRID: Topology = {
  name: 'grid of nine',
  ends: ['a', 'b'],
  relays: ['r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7'],
  links: [
    ['a', 'r1'],
    ['r1', 'r2'],
    ['a', 'r3'],
    ['r1', 'r4'],
    ['r2', 'r5'],
    ['r3', 'r4'],
    ['r4', 'r5'],
    ['r3', 'r6'],
    ['r4', 'r7'],
    ['r5', 'b'],
    ['r6', 'r7'],
    ['r7', 'b'],
  ],
};

export const TOPOLOGIES: readonly Topology[] = [DIAMOND, RING, GRID];

export function nodesOf({ ends, relays }: Topology): readonly string[] {
  return [ends[0], ...relays, ends[1]];
}

/** What the static mesh starts; `place` says where each node lives. */
export function specsOf(
  topology: Topology,
  place: (name: string) => Pick<StaticNodeSpec, 'wrap' | 'host'>,
): readonly StaticNodeSpec[] {
  return nodesOf(topology).map((name) => ({
    name,
    relay: topology.relays.includes(name),
    links: topology.links.filter((pair) => pair.includes(name)).map(([x, y]) => (x === name ? y : x)),
    forwards: name === topology.ends[0] ? ['echo'] : [],
    ...place(name),
  }));
}
