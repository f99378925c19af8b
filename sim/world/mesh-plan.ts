import { MAX_HOPS } from '#topology/paths.ts';
import { DEFAULT_TRUST_DOMAIN } from '#trust/identity.ts';
import type { Revocation } from '#trust/revocation.ts';
import type { SnapshotBody } from '#trust/snapshot.ts';

/** One node of a simulated mesh. */
export interface MeshMember {
  readonly name: string;
  readonly relay: boolean;
  /** Has no address: it is reached through its relays only. */
  readonly dialsOnly?: boolean;
  readonly skewMs?: number;
  readonly slowness?: number;
}

/** A whole mesh before it starts. */
export interface MeshPlan {
  readonly shape: string;
  readonly members: readonly MeshMember[];
  /** Pairs of neighbours; undefined: every node finds its own. */
  readonly links: readonly (readonly [string, string])[] | undefined;
}

/** What the control plane would say about this mesh. Every node publishes one service of its own name. */
export function snapshotOf(plan: MeshPlan, revocations: readonly Revocation[]): SnapshotBody {
  return {
    format: 1,
    trustDomain: DEFAULT_TRUST_DOMAIN,
    nodes: plan.members.map(({ name, relay, dialsOnly = false }) => ({
      name,
      relay,
      addresses: dialsOnly ? [] : [name],
      labels: {},
      links: plan.links === undefined ? null : neighboursOf(name, plan.links),
    })),
    services: plan.members.map(({ name }) => ({
      name: serviceOf(name),
      instances: [{ node: name, host: '127.0.0.1', port: 80, proxyProtocol: false }],
    })),
    forwards: [],
    revocations,
    issuers: [],
    roots: [],
  };
}

export function serviceOf(node: string): string {
  return `s-${node}`;
}

function neighboursOf(name: string, links: readonly (readonly [string, string])[]): readonly string[] {
  return links.filter((pair) => pair.includes(name)).map(([a, b]) => (a === name ? b : a));
}

/** The links of a fixed topology that can be there: one of the two has an address. */
export function possibleLinks({ members, links = [] }: MeshPlan): readonly (readonly [string, string])[] {
  const hidden = new Set(members.filter(({ dialsOnly }) => dialsOnly).map(({ name }) => name));
  return links.filter(([a, b]) => !(hidden.has(a) && hidden.has(b)));
}

/** Which nodes `from` can reach in as many hops as a circuit may have, through relays only, when all but `without` are up. */
export function reachableIn(plan: MeshPlan, from: string, without = ''): ReadonlySet<string> {
  const members = plan.members.filter(({ name }) => name !== without);
  if (plan.links === undefined) return new Set(members.map(({ name }) => name));
  const links = possibleLinks(plan).filter((pair) => !pair.includes(without));
  const isRelay = new Map(members.map(({ name, relay }) => [name, relay]));
  return spread(from, (name) => (name === from || isRelay.get(name) === true ? neighboursOf(name, links) : []));
}

/** Everything within {@link MAX_HOPS} of `from`; `next` gives the neighbours that can be gone to from a node. */
export function spread(from: string, next: (name: string) => Iterable<string>): ReadonlySet<string> {
  const reached = new Set([from]);
  let edge = [from];
  for (let hops = 0; hops < MAX_HOPS; hops++) {
    const found: string[] = [];
    for (const name of edge) {
      for (const each of next(name)) {
        if (reached.has(each)) continue;
        reached.add(each);
        found.push(each);
      }
    }
    edge = found;
  }
  return reached;
}
