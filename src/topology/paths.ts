import type { Graph } from '#topology/graph.ts';

/** OPEN names at most this many hops: seven relays and the destination. */
export const MAX_HOPS = 8;

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
  /** Whether losing any one relay of the primary leaves the backup whole. */
  readonly protected: boolean;
}

/** The cheapest path of at most {@link MAX_HOPS} hops; of equals the one with fewer hops, then the lowest names. */
export function shortestPath(_graph: Graph, _from: string, _to: string): Path | undefined {
  return undefined;
}

/** Primary and backup from `from` to `to`. */
export function disjointPair(_graph: Graph, _from: string, _to: string): PathPair {
  return { protected: false };
}
