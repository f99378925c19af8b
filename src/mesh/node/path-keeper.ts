import { TokenBucket } from '#kernel/bounded.ts';
import type { EndToEnd } from '#mesh/node/end-to-end.ts';
import type { Tunnel } from '#mesh/node/tunnel.ts';
import type { Graph } from '#topology/graph.ts';
import type { Path, PathPair } from '#topology/paths.ts';

export interface PathKeeperPorts {
  readonly self: string;
  readonly endToEnd: EndToEnd;
  graph(): Graph;
  path(to: string): PathPair;
  link(peer: string): Tunnel | undefined;
  /** Destinations of the conduits that this node has opened. */
  destinations(): Iterable<string>;
  /** What this node opened on the tunnel goes on over the one that is preferred now. */
  move(tunnel: Tunnel, code: string): void;
}

/** Standing tunnels that are begun in one second: each costs a handshake here and at the far end. */
const BUILDS_PER_SECOND = 8;
/** Destinations that have standing tunnels; the others build theirs when they need it. */
const MAX_KEPT = 256;
/** A way is left for a cheaper one only when that costs this much less, and for this long. */
const WORTHWHILE = 0.8;
const WORTHWHILE_MS = 5_000;
/** What was left voluntarily is not left again before this. */
const LEAST_STAY_MS = 10_000;

/** A tunnel over a draining relay is given up when it was not used for this long. */
const LEFT_MS = 500;

interface Kept {
  /** Since when a cheaper way has been there. */
  betterSinceMs: number | undefined;
  movedMs: number;
}

/**
 * Looks after the ways to destinations in use, a few times a second: a tunnel along the primary path and one along the backup stand
 * ready, and streams leave a way whose relay drains at once, a dearer one after a while.
 */
export class PathKeeper {
  readonly #ports: PathKeeperPorts;
  readonly #kept = new Map<string, Kept>();
  readonly #builds: TokenBucket;

  constructor(ports: PathKeeperPorts, nowMs: number) {
    this.#ports = ports;
    this.#builds = new TokenBucket(BUILDS_PER_SECOND, BUILDS_PER_SECOND, nowMs);
  }

  handleDeadline(nowMs: number): void {
    const present = new Set<string>();
    for (const peer of this.#ports.destinations()) {
      if (present.size >= MAX_KEPT) break;
      present.add(peer);
    }
    for (const peer of this.#kept.keys()) if (!present.has(peer)) this.#kept.delete(peer);
    for (const peer of present) this.#keep(peer, nowMs);
  }

  #keep(peer: string, nowMs: number): void {
    const kept = this.#kept.get(peer) ?? { betterSinceMs: undefined, movedMs: Number.NEGATIVE_INFINITY };
    this.#kept.set(peer, kept);
    const { primary, backup } = this.#ports.path(peer);
    if (primary !== undefined) this.#stand(peer, primary, nowMs);
    if (backup !== undefined && !this.#isDraining(backup.hops)) this.#stand(peer, backup, nowMs);
    if (primary !== undefined) this.#review(peer, primary, kept, nowMs);
  }

  /** A tunnel of ours that nothing uses and that holds up a relay which is to stop. */
  isLeft(tunnel: Tunnel, nowMs: number): boolean {
    if (tunnel.via !== 'circuit' || tunnel.role !== 'dialer' || tunnel.state !== 'up') return false;
    return nowMs - tunnel.idleSinceMs >= LEFT_MS && this.#isDraining(tunnel.hops);
  }

  #isDraining(hops: readonly string[]): boolean {
    const graph = this.#ports.graph();
    return hops.slice(0, -1).some((relay) => graph.draining(relay));
  }

  /** A tunnel along this way is there, or is being built. */
  #stand(peer: string, { hops }: Path, nowMs: number): void {
    if (hops.length === 1) return;
    const { endToEnd } = this.#ports;
    const standing = endToEnd.along(peer, hops);
    if (standing !== undefined) standing.idleSinceMs = nowMs;
    else if (endToEnd.mayPrepare(peer, hops) && this.#builds.take(nowMs)) endToEnd.prepare(peer, hops, nowMs);
  }

  /** Leaves the tunnel in use for the primary path where that is due. */
  #review(peer: string, primary: Path, kept: Kept, nowMs: number): void {
    const better = primary.hops.length === 1 ? this.#ports.link(peer) : this.#ports.endToEnd.along(peer, primary.hops);
    for (const current of this.#ports.endToEnd.tunnelsTo(peer)) {
      if (better === undefined || current === better || !this.#carries(current)) continue;
      const cost = this.#costOf(current.hops);
      const isLeaving = cost === undefined || (this.#isDraining(current.hops) && !this.#isDraining(primary.hops));
      if (!isLeaving && cost * WORTHWHILE <= primary.cost) continue;
      kept.betterSinceMs ??= nowMs;
      const isDue = nowMs - kept.betterSinceMs >= WORTHWHILE_MS && nowMs - kept.movedMs >= LEAST_STAY_MS;
      if (!isLeaving && !isDue) return;
      kept.movedMs = nowMs;
      kept.betterSinceMs = undefined;
      this.#ports.endToEnd.prefer(better);
      return this.#ports.move(current, isLeaving ? 'PATH_DRAINING' : 'PATH_CHANGED');
    }
    kept.betterSinceMs = undefined;
    if (better?.via === 'circuit' && this.#ports.endToEnd.tunnelTo(peer)?.mux.streamCount === 0)
      this.#ports.endToEnd.prefer(better);
  }

  /** Opened by this node, which knows its way, and in use. */
  #carries(tunnel: Tunnel): boolean {
    return tunnel.role === 'dialer' && tunnel.mux.streamCount > 0;
  }

  /** Undefined when a link of it is gone. */
  #costOf(hops: readonly string[]): number | undefined {
    const graph = this.#ports.graph();
    let from = this.#ports.self;
    let cost = 0;
    for (const hop of hops) {
      const link = graph.links(from).get(hop);
      if (link === undefined) return undefined;
      cost += link;
      from = hop;
    }
    return cost;
  }
}
