import { TokenBucket } from '#kernel/bounded.ts';
import { encodeCircuitOpen } from '#mesh/circuit/circuit-open.ts';
import { type Reason, StreamKind } from '#mesh/mux/frame.ts';
import type { NodeOutput } from '#mesh/node/output.ts';
import type { LocalStream, Tunnel } from '#mesh/node/tunnel.ts';
import type { Path, PathPair } from '#topology/paths.ts';

export interface EndToEndPorts {
  link(peer: string): Tunnel | undefined;
  path(to: string): PathPair;
  newCircuit(): LocalStream;
  /** Ends a circuit that is not wanted any more. */
  abandon(circuit: LocalStream, reason: Reason): void;
  emit(output: NodeOutput): void;
  touch(tunnel: Tunnel): void;
  /** Another takes its place; what runs on it moves. */
  drain(tunnel: Tunnel, code: string): void;
}

/** Given a tunnel to the peer, or the reason why there is none. */
export type TunnelWaiter = (tunnel: Tunnel | undefined, reason: Reason) => void;

/** Opens of one destination that wait for its tunnel; more are refused. */
const MAX_WAITERS = 16_384;
/** Tunnels that are built at once: each costs a handshake. */
const MAX_BUILDING = 256;
/** A way that does not answer is given up for the next: eight hops across the world and a handshake take less. */
const WAY_TIMEOUT_MS = 2_000;
const BUILD_TIMEOUT_MS = 10_000;
/** A relay that says without end that its links drain costs its openers no more than a handshake in this time. */
const LEAVE_INTERVAL_MS = 1_000;
/** And all of its openers' destinations together no more than so many a second. */
const LEAVES_PER_SECOND = 8;

/** One attempt to build a tunnel: by ways that somebody waits for, or one that is to stand ready. */
interface Building {
  /** The peer where somebody waits for any way, else what it is built for. */
  readonly key: string;
  readonly peer: string;
  readonly waiters: TunnelWaiter[];
  /** Ways not tried yet. */
  readonly ways: (readonly string[])[];
  readonly startedMs: number;
  triedMs: number;
  hops: readonly string[];
  circuit: LocalStream | undefined;
  /** What it is built in place of. */
  readonly replaces: Tunnel | undefined;
}

/**
 * The tunnels to destinations: a link where there is one, else TLS over circuits, one a way. Everybody who asks for a
 * destination meanwhile waits for the same attempt, which tries the primary path and then the backup; what stands ready is
 * built by {@link EndToEnd.prepare}.
 */
export class EndToEnd {
  readonly #ports: EndToEndPorts;
  /** By key. */
  readonly #building = new Map<string, Building>();
  /** Tunnels over circuits that are up and not draining, whoever opened them; the first of a peer is the one in use. */
  readonly #tunnels = new Map<string, Tunnel[]>();
  /** When a tunnel to a peer was last replaced for that. */
  readonly #leftMs = new Map<string, number>();
  readonly #leaves = new TokenBucket(LEAVES_PER_SECOND, LEAVES_PER_SECOND, 0);

  constructor(ports: EndToEndPorts) {
    this.#ports = ports;
  }

  /** The tunnel that new streams to a node take now: a link if there is one. */
  tunnelTo(peer: string): Tunnel | undefined {
    return this.#ports.link(peer) ?? this.#tunnels.get(peer)?.[0];
  }

  /** Tunnels over circuits to a node that take new streams. */
  tunnelsTo(peer: string): readonly Tunnel[] {
    return this.#tunnels.get(peer) ?? [];
  }

  /** From now on new streams to this peer take this tunnel before others over circuits. */
  prefer(tunnel: Tunnel): void {
    const tunnels = this.#tunnels.get(tunnel.peer.name);
    if (tunnels?.includes(tunnel) !== true) return;
    this.#tunnels.set(tunnel.peer.name, [tunnel, ...tunnels.filter((each) => each !== tunnel)]);
  }

  /** Calls `waiter` once, now or later. */
  acquire(peer: string, waiter: TunnelWaiter, nowMs: number): void {
    const tunnel = this.tunnelTo(peer);
    if (tunnel !== undefined) return waiter(tunnel, { code: 'OK' });
    const building = this.#building.get(peer);
    if (building === undefined) return this.#begin(peer, waiter, nowMs);
    if (building.waiters.length >= MAX_WAITERS) return waiter(undefined, { code: 'TUNNEL_BACKLOG' });
    building.waiters.push(waiter);
  }

  /** The tunnel to a node along this way. */
  along(peer: string, hops: readonly string[]): Tunnel | undefined {
    return this.tunnelsTo(peer).find((tunnel) => isWay(tunnel.hops, hops));
  }

  /** Whether {@link EndToEnd.prepare} would begin something: there is no such tunnel, none is being built, and there is room for one. */
  mayPrepare(peer: string, hops: readonly string[]): boolean {
    const isUnderWay = this.#building.has(wayKey(peer, hops)) || isWay(this.#building.get(peer)?.hops, hops);
    return !isUnderWay && !this.#isFull && this.along(peer, hops) === undefined;
  }

  /** Builds a tunnel along this way, to stand ready. */
  prepare(peer: string, hops: readonly string[], nowMs: number): void {
    if (this.mayPrepare(peer, hops)) this.#start(wayKey(peer, hops), peer, [hops], nowMs);
  }

  /**
   * Another tunnel takes the place of this one: a younger one that stands ready along today's primary path, else one that is built,
   * along it or its backup. One that carries nothing needs no successor.
   */
  replace(tunnel: Tunnel, nowMs: number): void {
    const peer = tunnel.peer.name;
    const { primary, backup } = this.#ports.path(peer);
    const ready = this.#successorOf(tunnel);
    if (ready !== undefined) this.prefer(ready);
    if (ready !== undefined || tunnel.mux.streamCount === 0) return this.#ports.drain(tunnel, 'TUNNEL_REPLACED');
    const key = `${peer} replacing ${tunnel.id}`;
    const ways = [primary, backup].flatMap((path) => (path === undefined ? [] : [path.hops]));
    if (ways.length > 0 && !this.#building.has(key) && !this.#isFull) this.#start(key, peer, ways, nowMs, tunnel);
  }

  /** The circuit was accepted by its far end: TLS may begin on it. */
  handleCircuitAccepted(circuit: LocalStream): void {
    this.#ports.emit({ kind: 'secure', stream: circuit, role: 'dialer', peer: circuit.peer });
  }

  #successorOf(tunnel: Tunnel): Tunnel | undefined {
    const { name } = tunnel.peer;
    const { primary } = this.#ports.path(name);
    return this.tunnelsTo(name).find((each) => each !== tunnel && this.#isSuccessor(each, tunnel, primary));
  }

  /** It lives longer, or as long and not over a link that drains. */
  #isSuccessor(each: Tunnel, old: Tunnel, primary: Path | undefined): boolean {
    if (each.role !== 'dialer' || isLeaving(each) || !isWay(each.hops, primary?.hops ?? [])) return false;
    return each.notAfterMs > old.notAfterMs || (isLeaving(old) && each.notAfterMs === old.notAfterMs);
  }

  /** A link under this circuit is to end: its tunnel makes way for another. */
  handleCircuitDraining(circuit: LocalStream, nowMs: number): void {
    circuit.isLeaving = true;
    const tunnel = this.tunnelsTo(circuit.peer).find((each) => each.circuit === circuit);
    if (tunnel !== undefined) this.#leave(tunnel, nowMs);
  }

  #leave(tunnel: Tunnel, nowMs: number): void {
    const peer = tunnel.peer.name;
    const leftMs = this.#leftMs.get(peer);
    if (leftMs !== undefined && nowMs - leftMs < LEAVE_INTERVAL_MS) return;
    if (this.#successorOf(tunnel) === undefined && !this.#leaves.take(nowMs)) return;
    this.#leftMs.set(peer, nowMs);
    this.replace(tunnel, nowMs);
  }

  handleCircuitEnded(circuit: LocalStream, reason: Reason, nowMs: number): void {
    const building = this.#buildingOn(circuit);
    if (building !== undefined) this.#tryNext(building, reason, nowMs);
  }

  /** The tunnel over this circuit did not come up: its peer refused it. */
  handleTunnelFailed(circuit: LocalStream, reason: Reason, nowMs: number): void {
    const building = this.#buildingOn(circuit);
    if (building === undefined) return;
    this.#leaveWay(building, reason);
    this.#tryNext(building, reason, nowMs);
  }

  /** A tunnel came up, a link or over a circuit. */
  handleTunnelUp(tunnel: Tunnel): void {
    const peer = tunnel.peer.name;
    if (tunnel.via === 'circuit') this.#tunnels.set(peer, [...this.tunnelsTo(peer), tunnel]);
    const built = tunnel.circuit === undefined ? undefined : this.#buildingOn(tunnel.circuit);
    if (built !== undefined) this.#building.delete(built.key);
    for (const each of [built, this.#building.get(peer)]) this.#serve(each, tunnel);
    const replaced = built?.replaces;
    if (replaced?.state !== 'up') return;
    this.prefer(tunnel);
    this.#ports.drain(replaced, 'TUNNEL_REPLACED');
  }

  /** Who waited for this attempt has the tunnel, over whatever way. */
  #serve(building: Building | undefined, tunnel: Tunnel): void {
    if (building === undefined) return;
    this.#building.delete(building.key);
    if (building.circuit !== tunnel.circuit) this.#leaveWay(building, { code: 'TUNNEL_DUPLICATE' });
    for (const waiter of building.waiters) waiter(tunnel, { code: 'OK' });
  }

  /** The tunnel takes no new streams: it drains or has ended. */
  handleTunnelGone(tunnel: Tunnel): void {
    const peer = tunnel.peer.name;
    const others = this.tunnelsTo(peer).filter((each) => each !== tunnel);
    if (others.length === 0) this.#leftMs.delete(peer);
    if (others.length === 0) this.#tunnels.delete(peer);
    else this.#tunnels.set(peer, others);
  }

  handleDeadline(nowMs: number): void {
    for (const tunnel of [...this.#tunnels.values()].flat())
      if (isLeaving(tunnel) && tunnel.state === 'up') this.#leave(tunnel, nowMs);
    for (const building of this.#building.values()) {
      if (nowMs - building.startedMs >= BUILD_TIMEOUT_MS) this.#giveUp(building, { code: 'TUNNEL_TIMEOUT' });
      else if (nowMs - building.triedMs >= WAY_TIMEOUT_MS) {
        this.#leaveWay(building, { code: 'TUNNEL_TIMEOUT' });
        this.#tryNext(building, { code: 'TUNNEL_TIMEOUT' }, nowMs);
      }
    }
  }

  #begin(peer: string, waiter: TunnelWaiter, nowMs: number): void {
    if (this.#isFull) return waiter(undefined, { code: 'TUNNEL_BACKLOG' });
    const { primary, backup } = this.#ports.path(peer);
    const ways = [primary, backup].filter((path) => path !== undefined).map((path) => path.hops);
    this.#start(peer, peer, ways, nowMs, undefined, waiter);
  }

  get #isFull(): boolean {
    return this.#building.size >= MAX_BUILDING;
  }

  #start(
    key: string,
    peer: string,
    ways: (readonly string[])[],
    nowMs: number,
    replaces?: Tunnel,
    waiter?: TunnelWaiter,
  ): void {
    const waiters = waiter === undefined ? [] : [waiter];
    const tried = { startedMs: nowMs, triedMs: nowMs, hops: [], circuit: undefined };
    const building: Building = { key, peer, waiters, ways, replaces, ...tried };
    this.#building.set(key, building);
    this.#tryNext(building, { code: 'NO_PATH' }, nowMs);
  }

  #buildingOn(circuit: LocalStream): Building | undefined {
    for (const building of this.#building.values()) if (building.circuit === circuit) return building;
    return undefined;
  }

  #leaveWay(building: Building, reason: Reason): void {
    const { circuit } = building;
    building.circuit = undefined;
    if (circuit !== undefined) this.#ports.abandon(circuit, reason);
  }

  #tryNext(building: Building, reason: Reason, nowMs: number): void {
    const hops = building.ways.shift();
    if (hops === undefined) return this.#giveUp(building, reason);
    building.triedMs = nowMs;
    building.hops = hops;
    const first = hops[0];
    const link = first === undefined ? undefined : this.#ports.link(first);
    if (link === undefined) return this.#tryNext(building, { code: 'NO_PATH' }, nowMs);
    const circuit = this.#ports.newCircuit();
    const opened = link.mux.open(StreamKind.circuit, encodeCircuitOpen(hops.slice(1)), circuit, 'local');
    if (!opened.ok) {
      this.#ports.abandon(circuit, { code: opened.error });
      return this.#tryNext(building, { code: opened.error }, nowMs);
    }
    circuit.attach(link, opened.value, building.peer, hops);
    building.circuit = circuit;
    this.#ports.touch(link);
  }

  #giveUp(building: Building, reason: Reason): void {
    this.#building.delete(building.key);
    this.#leaveWay(building, reason);
    for (const waiter of building.waiters) waiter(undefined, reason);
  }
}

/** Its circuit leads over a link that drains: another is to be built in its place. */
function isLeaving({ circuit }: Tunnel): boolean {
  return circuit?.isLeaving === true;
}

function wayKey(peer: string, hops: readonly string[]): string {
  return `${peer} ${hops.join()}`;
}

/** Names hold no comma. */
function isWay(one: readonly string[] | undefined, other: readonly string[]): boolean {
  return one?.join() === other.join();
}
