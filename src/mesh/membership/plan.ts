import { compareNames } from '#topology/search.ts';

/** A node of the snapshot. */
export interface Member {
  readonly name: string;
  readonly relay: boolean;
  /** `host:port` or `[v6]:port`; empty: only dials out. */
  readonly addresses: readonly string[];
  /** Fixed topology: the names it links to; null: the automatic plan. */
  readonly links: readonly string[] | null;
}

/**
 * Why a link is wanted: a fixed topology names it, relays link to each other, to far ones too, it is among the nearest relays, or
 * streams run to that node through relays.
 */
export type PlanReason = 'fixed' | 'relay' | 'far' | 'nearest' | 'traffic';

/** Up to this many other relays a relay links to all. */
const FULL_MESH_RELAYS = 32;
/** Beyond that, to this many of the nearest, and far ones at doubling distances in the ring of names. */
const NEAREST_RELAYS_OF_RELAY = 24;
/** Every other node: two disjoint first hops, and one to spare. */
const NEAREST_RELAYS_OF_NODE = 3;

/** What follows from the snapshot alone, and among whom the nearest are to be chosen. */
export interface Plan {
  readonly links: ReadonlyMap<string, PlanReason>;
  readonly candidates: readonly Member[];
  readonly nearestCount: number;
}

/** Whether two members may be neighbours: where either has a fixed topology, one must name the other. */
export function mayLink(a: Member, b: Member): boolean {
  return isFixed(a, b) || (a.links === null && b.links === null);
}

export function makePlan(self: Member, members: Iterable<Member>): Plan {
  const links = new Map<string, PlanReason>();
  const relays: Member[] = [];
  for (const member of members) {
    if (member.name === self.name) continue;
    if (isFixed(self, member)) links.set(member.name, 'fixed');
    else if (member.relay && mayLink(self, member)) relays.push(member);
  }
  if (self.relay && relays.length <= FULL_MESH_RELAYS) {
    for (const relay of relays) links.set(relay.name, 'relay');
    return { links, candidates: [], nearestCount: 0 };
  }
  if (self.relay) for (const name of farRelays(self, relays)) links.set(name, 'far');
  const candidates = relays.filter(({ name, addresses }) => addresses.length > 0 && !links.has(name));
  return { links, candidates, nearestCount: self.relay ? NEAREST_RELAYS_OF_RELAY : NEAREST_RELAYS_OF_NODE };
}

/** Both sides dial what both plan; what only the nearer side plans, it must dial itself. */
export function isMutual(reason: PlanReason): boolean {
  return reason !== 'nearest' && reason !== 'traffic';
}

function isFixed(a: Member, b: Member): boolean {
  return a.links?.includes(b.name) === true || b.links?.includes(a.name) === true;
}

/** At distances 1, 2, 4, … both ways in the ring of names: the ring keeps the mesh whole, the long ones keep it narrow. */
function farRelays(self: Member, others: readonly Member[]): Set<string> {
  const ring = [self, ...others].map(({ name }) => name).toSorted(compareNames);
  const here = ring.indexOf(self.name);
  const far = new Set<string>();
  for (let distance = 1; distance <= ring.length / 2; distance *= 2) {
    for (const index of [here + distance, here - distance + ring.length]) {
      const name = ring[index % ring.length];
      if (name !== undefined && name !== self.name) far.add(name);
    }
  }
  return far;
}
