import type { MeshNodeOptions } from '#mesh/node/node-options.ts';
import type { StreamPolicy } from '#mesh/node/stream-policy.ts';
import type { Revocation } from '#trust/revocation.ts';
import type { SnapshotBody } from '#trust/snapshot.ts';

/** For tests and simulation only. */
export const TRUST_DOMAIN = 'x0tta6bl4.mesh';

export interface NetMember {
  readonly name: string;
  readonly relay?: boolean;
  readonly options?: Partial<MeshNodeOptions>;
}

export interface NetPlan {
  readonly members: readonly NetMember[];
  /** Pairs of neighbours. */
  readonly links: readonly (readonly [string, string])[];
  /** Service name to the nodes that publish it. */
  readonly services?: Readonly<Record<string, readonly string[]>>;
  /** Nodes without an address. */
  readonly dialOnly?: readonly string[];
  readonly delayMs?: number;
  /** Life of every certificate, which is renewed at half of it; without it they do not end. */
  readonly certificateLifeMs?: number;
  readonly policy?: StreamPolicy;
}

/** What a control plane would say of it. */
export function snapshotOf(plan: NetPlan, revocations: readonly Revocation[]): SnapshotBody {
  const { members, links, services = {}, dialOnly = [] } = plan;
  return {
    format: 1,
    trustDomain: TRUST_DOMAIN,
    nodes: members.map(({ name, relay = true }) => ({
      name,
      relay,
      addresses: dialOnly.includes(name) ? [] : [`${name}:1`],
      labels: {},
      links: links.filter((pair) => pair.includes(name)).map(([a, b]) => (a === name ? b : a)),
    })),
    services: Object.entries(services).map(([name, nodes]) => ({
      name,
      instances: nodes.map((node) => ({ node, host: '127.0.0.1', port: 80, proxyProtocol: false })),
    })),
    forwards: [],
    revocations,
    issuers: [],
    roots: [],
  };
}
