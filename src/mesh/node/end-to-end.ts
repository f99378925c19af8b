import { encodeCircuitOpen } from '#mesh/circuit/circuit-open.ts';
import { type Reason, StreamKind } from '#mesh/mux/frame.ts';
import type { NodeOutput } from '#mesh/node/output.ts';
import type { LocalStream, Tunnel } from '#mesh/node/tunnel.ts';
import type { PathPair } from '#topology/paths.ts';

export interface EndToEndPorts {
  link(peer: string): Tunnel | undefined;
  path(to: string): PathPair;
  newStream(purpose: 'circuit'): LocalStream;
  /** Ends a circuit that is not wanted any more. */
  abandon(circuit: LocalStream, reason: Reason): void;
  emit(output: NodeOutput): void;
  touch(tunnel: Tunnel): void;
}

/** Given a tunnel to the peer, or the reason why there is none. */
export type TunnelWaiter = (tunnel: Tunnel | undefined, reason: Reason) => void;

/** Opens of one destination that wait for its tunnel; more are refused. */
const MAX_WAITERS = 4_096;
/** Destinations to which a tunnel is being built at once: each costs a handshake. */
const MAX_BUILDING = 256;
const BUILD_TIMEOUT_MS = 10_000;

interface Building {
  readonly peer: string;
  readonly waiters: TunnelWaiter[];
  /** Ways not tried yet. */
  readonly ways: (readonly string[])[];
  readonly startedMs: number;
  circuit: LocalStream | undefined;
}

/**
 * Finds or builds the tunnel to a destination: a link where there is one, else TLS over a circuit along the primary
 * path, and along the backup when the primary refuses. Everybody who asks meanwhile waits for the same tunnel.
 */
export class EndToEnd {
  readonly #ports: EndToEndPorts;
  readonly #building = new Map<string, Building>();
  /** Tunnels over circuits that are up and not draining, whoever opened them. */
  readonly #tunnels = new Map<string, Tunnel>();

  constructor(ports: EndToEndPorts) {
    this.#ports = ports;
  }

  /** The tunnel that streams to a node take now: a link if there is one. */
  tunnelTo(peer: string): Tunnel | undefined {
    return this.#ports.link(peer) ?? this.#tunnels.get(peer);
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

  /** The circuit was accepted by its far end: TLS may begin on it. */
  handleCircuitAccepted(circuit: LocalStream): void {
    this.#ports.emit({ kind: 'secure', stream: circuit, role: 'dialer', peer: circuit.peer });
  }

  handleCircuitEnded(circuit: LocalStream, reason: Reason): void {
    const building = this.#building.get(circuit.peer);
    if (building?.circuit === circuit) this.#tryNext(building, reason);
  }

  /** A tunnel over the circuit did not come up: its peer refused it, or TLS broke. */
  handleTunnelFailed(peer: string, reason: Reason): void {
    const building = this.#building.get(peer);
    if (building === undefined) return;
    if (building.circuit !== undefined) this.#ports.abandon(building.circuit, reason);
    this.#tryNext(building, reason);
  }

  /** A tunnel came up, a link or over a circuit. */
  handleTunnelUp(tunnel: Tunnel): void {
    if (tunnel.via === 'circuit') this.#tunnels.set(tunnel.peer.name, tunnel);
    const building = this.#building.get(tunnel.peer.name);
    if (building === undefined) return;
    this.#building.delete(tunnel.peer.name);
    for (const waiter of building.waiters) waiter(tunnel, { code: 'OK' });
  }

  /** The tunnel takes no new streams: it drains or has ended. */
  handleTunnelGone(tunnel: Tunnel): void {
    if (this.#tunnels.get(tunnel.peer.name) === tunnel) this.#tunnels.delete(tunnel.peer.name);
  }

  handleDeadline(nowMs: number): void {
    for (const building of this.#building.values()) {
      if (nowMs - building.startedMs >= BUILD_TIMEOUT_MS) this.#giveUp(building, { code: 'TUNNEL_TIMEOUT' });
    }
  }

  #begin(peer: string, waiter: TunnelWaiter, nowMs: number): void {
    if (this.#building.size >= MAX_BUILDING) return waiter(undefined, { code: 'TUNNEL_BACKLOG' });
    const { primary, backup } = this.#ports.path(peer);
    const ways = [primary, backup].filter((path) => path !== undefined).map((path) => path.hops);
    const building: Building = { peer, waiters: [waiter], ways, startedMs: nowMs, circuit: undefined };
    this.#building.set(peer, building);
    this.#tryNext(building, { code: 'NO_PATH' });
  }

  #tryNext(building: Building, reason: Reason): void {
    const hops = building.ways.shift();
    if (hops === undefined) return this.#giveUp(building, reason);
    const first = hops[0];
    const link = first === undefined ? undefined : this.#ports.link(first);
    if (link === undefined) return this.#tryNext(building, { code: 'NO_PATH' });
    const circuit = this.#ports.newStream('circuit');
    const opened = link.mux.open(StreamKind.circuit, encodeCircuitOpen(hops.slice(1)), circuit, 'local');
    if (!opened.ok) {
      this.#ports.abandon(circuit, { code: opened.error });
      return this.#tryNext(building, { code: opened.error });
    }
    circuit.attach(link, opened.value, building.peer, hops);
    building.circuit = circuit;
    this.#ports.touch(link);
  }

  #giveUp(building: Building, reason: Reason): void {
    this.#building.delete(building.peer);
    if (building.circuit !== undefined) this.#ports.abandon(building.circuit, reason);
    for (const waiter of building.waiters) waiter(undefined, reason);
  }
}
