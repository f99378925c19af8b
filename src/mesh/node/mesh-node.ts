import { Counters } from '#kernel/counters.ts';
import { countableCode } from '#kernel/error-codes.ts';
import { EventQueue } from '#kernel/event-queue.ts';
import type { LinkState } from '#mesh/linkstate/linkstate.ts';
import type { Membership } from '#mesh/membership/membership.ts';
import { type Reason, StreamKind } from '#mesh/mux/frame.ts';
import type { MuxEvent } from '#mesh/mux/mux-types.ts';
import { DEFAULT_POOL_BYTES, WindowPool } from '#mesh/mux/window-pool.ts';
import { EndToEnd } from '#mesh/node/end-to-end.ts';
import { LocalStreams } from '#mesh/node/local-streams.ts';
import type { LinkMeasurement } from '#mesh/detector/link-quality.ts';
import { Neighbours } from '#mesh/node/neighbours.ts';
import type { MeshNodeOptions, MeshNodePorts, OpenedTunnel } from '#mesh/node/node-options.ts';
import type { NodeOutput } from '#mesh/node/output.ts';
import { PathKeeper } from '#mesh/node/path-keeper.ts';
import { Pings } from '#mesh/node/pings.ts';
import { Relay } from '#mesh/node/relay.ts';
import { StreamRouter } from '#mesh/node/stream-router.ts';
import { ServiceDirectory } from '#mesh/node/services.ts';
import { createTunnel, refusalOf } from '#mesh/node/create-tunnel.ts';
import { decideUpkeep, livenessOf, noteReplacing } from '#mesh/node/tunnel-upkeep.ts';
import type { LocalStream, Owner, Stream, Tunnel } from '#mesh/node/tunnel.ts';
import type { PeerIdentity } from '#trust/identity.ts';
import { RevocationSet } from '#trust/revocation.ts';
import type { SignedSnapshot } from '#trust/signed-snapshot.ts';
import type { SnapshotBody } from '#trust/snapshot.ts';

/*
 * One node of the mesh, without IO. The driver tells it of transports, snapshots, applications and time, and does what
 * `poll` says; everything between (multiplexing, link state, relaying, end-to-end tunnels, services) happens here.
 *
 * A tunnel's life: the driver authenticates a transport and calls `handleTunnelOpened`; both sides exchange HELLO; a link
 * then enters the link table, the link state and the plan, an end-to-end tunnel serves who waited for it; it ends by the
 * transport, by drain (GOAWAY, then its last stream), or by a peer that breaks the protocol, and everything on it ends.
 */

/** 5,000 circuits between one pair of neighbours of a relay that has four. */
const MAX_PEER_STREAMS = 16_384;
const OPENS_PER_SECOND = 2_000;
/** Time-outs, idle tunnels and drains are looked at this often, silence on a way in use twice as often. */
const SWEEP_INTERVAL_MS = 250;
export class MeshNode {
  readonly counters = new Counters();
  readonly directory = new ServiceDirectory();
  /** The streams that begin or end here. */
  readonly streams: LocalStreams;
  readonly #options: MeshNodeOptions;
  readonly #ports: MeshNodePorts;
  readonly #neighbours: Neighbours;
  readonly #relay: Relay;
  readonly #router: StreamRouter;
  readonly #endToEnd: EndToEnd;
  readonly #paths: PathKeeper;
  readonly #pings: Pings;
  readonly #pool: WindowPool;
  readonly #tunnels = new Set<Tunnel>();
  readonly #dirty = new Set<Tunnel>();
  readonly #outputs = new EventQueue<NodeOutput>();
  #revocations = new RevocationSet([]);
  #nextTunnelId = 1;
  #sweepMs: number;
  /** The next deadline, until something changes it. */
  #nextMs: number | undefined;
  #nowMs: number;
  #wallOffsetMs: number;

  constructor(ports: MeshNodePorts, options: MeshNodeOptions, nowMs: number, wallMs: number) {
    this.#options = options;
    this.#ports = ports;
    this.#nowMs = nowMs;
    this.#wallOffsetMs = wallMs - nowMs;
    this.#sweepMs = nowMs + SWEEP_INTERVAL_MS;
    this.#pool = new WindowPool(options.poolBytes ?? DEFAULT_POOL_BYTES);
    const { name: origin, incarnation } = options;
    const touch = (tunnel: Tunnel): void => void this.#dirty.add(tunnel);
    const emit = (output: NodeOutput): void => this.#emit(output);
    const link = (peer: string): Tunnel | undefined => this.#neighbours.link(peer);
    const drain = (tunnel: Tunnel, code: string): void => this.#beginDrain(tunnel, { code });
    const neighbourPorts = { counters: this.counters, nowMs: () => this.#nowMs, emit, touch, drain };
    this.#neighbours = new Neighbours(ports, options, neighbourPorts, nowMs, wallMs);
    this.#relay = new Relay({
      self: origin,
      counters: this.counters,
      maxStreams: options.maxPeerStreams ?? MAX_PEER_STREAMS,
      isRelay: () => options.relay,
      link,
      linkCount: () => this.#neighbours.count,
      touch,
      handleCircuitEnd: (tunnel, stream) => this.#handleCircuitEnd(tunnel, stream),
    });
    this.#endToEnd = new EndToEnd({
      link,
      path: (to) => this.linkState.path(to),
      newCircuit: () => this.streams.createCircuit('out'),
      abandon: (circuit, reason) => this.streams.abandon(circuit, reason),
      emit,
      touch,
      drain,
    });
    this.#pings = new Pings({ endToEnd: this.#endToEnd, nowMs: () => this.#nowMs, emit, touch });
    this.streams = new LocalStreams({
      self: origin,
      incarnation,
      random: ports.random,
      counters: this.counters,
      directory: this.directory,
      policy: ports.policy,
      endToEnd: this.#endToEnd,
      cost: (node) => this.linkState.path(node).primary?.cost,
      nowMs: () => this.#nowMs,
      wallMs: () => this.#wallMs,
      emit,
      touch,
      fail: (tunnel, code) => this.#fail(tunnel, { code }),
    });
    this.#router = new StreamRouter({
      relay: this.#relay,
      streams: this.streams,
      neighbours: this.#neighbours,
      nowMs: () => this.#nowMs,
      wallMs: () => this.#wallMs,
      fail: (tunnel, code) => this.#fail(tunnel, { code }),
      settle: () => this.#settle(),
    });
    this.#paths = new PathKeeper(
      {
        self: origin,
        endToEnd: this.#endToEnd,
        graph: () => this.linkState.graph(),
        path: (to) => this.linkState.path(to),
        link,
        destinations: () => this.streams.conduits.record.destinations(),
        move: (tunnel, code) => this.streams.conduits.moveFrom(tunnel, { code }),
      },
      nowMs,
    );
  }

  /** A snapshot that was verified and believed. */
  handleSnapshot(body: SnapshotBody, nowMs: number, issuersChanged = true): void {
    this.#nowMs = nowMs;
    this.directory.handleSnapshot(body);
    this.#revocations = new RevocationSet(body.revocations);
    this.#neighbours.handleSnapshot(body, nowMs);
    for (const tunnel of this.#tunnels) {
      if (this.#revocations.isRevoked(tunnel.peer)) this.#end(tunnel, { code: 'CERT_REVOKED' });
    }
    this.streams.conduits.policy.check(this.#wallMs);
    this.streams.conduits.handleRevoked((peer) => this.#revocations.isRevoked(peer));
    this.handleTrustChanged(nowMs, issuersChanged);
  }

  /** Neighbours are told of a snapshot that is believed, wherever it came from; undefined: what `from` offered is not. */
  handleBelieved(snapshot: SignedSnapshot | undefined, from: string, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#neighbours.handleBelieved(snapshot, from, nowMs);
    this.#settle();
  }

  /** Issuers, revocations or the own certificate changed. */
  handleTrustChanged(nowMs: number, issuersChanged: boolean): void {
    this.linkState.handleTrustChanged(nowMs, this.#wallMs, issuersChanged);
    this.#settle();
  }

  isRevoked(identity: PeerIdentity): boolean {
    return this.#revocations.isRevoked(identity);
  }

  handleTunnelOpened(opened: OpenedTunnel, nowMs: number): Tunnel {
    this.#nowMs = nowMs;
    const accepts = (peer: string): boolean => this.membership.accepts(peer);
    const refusal = refusalOf(opened, this.#options.name, this.#revocations, accepts);
    const tunnel = createTunnel(opened, refusal, {
      id: this.#nextTunnelId++,
      tunnelId: this.#ports.random.bytes(16),
      incarnation: this.#options.incarnation,
      pool: this.#pool,
      maxPeerStreams: this.#options.maxPeerStreams ?? MAX_PEER_STREAMS,
      opensPerSecond: this.#options.opensPerSecond ?? OPENS_PER_SECOND,
      counters: this.counters,
      nowMs,
      wallMs: this.#wallMs,
    });
    this.#tunnels.add(tunnel);
    this.#dirty.add(tunnel);
    if (refusal !== undefined) {
      this.counters.add(`tunnel-refused-${refusal.code}`);
      this.#emit({ kind: 'close-tunnel', tunnel, reason: refusal });
    }
    return tunnel;
  }

  /** Bytes that the transport delivered; `chunk` belongs to the node from here on. */
  handleTunnelBytes(tunnel: Tunnel, chunk: Uint8Array, nowMs: number): void {
    this.#nowMs = nowMs;
    if (tunnel.state === 'closed') return;
    tunnel.mux.handleBytes(chunk, nowMs);
    this.#dirty.add(tunnel);
    this.#readEvents(tunnel);
  }

  /** The transport has ended, whoever ended it. */
  handleTunnelClosed(tunnel: Tunnel, reason: Reason, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#end(tunnel, reason);
    this.#settle();
  }

  /** What probes measured of the link to a neighbour. */
  handleLinkMeasured(peer: string, measurement: LinkMeasurement, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#neighbours.handleMeasured(peer, measurement, nowMs, this.#wallMs);
    this.#settle();
  }

  /** Draining, this node asks others to go round it, and takes no new streams that end here. */
  setDraining(isDraining: boolean, nowMs: number): void {
    this.#nowMs = nowMs;
    this.streams.conduits.isDraining = isDraining;
    this.linkState.setLocal({ relay: this.#options.relay, draining: isDraining }, nowMs, this.#wallMs);
    this.#settle();
  }

  get isDraining(): boolean {
    return this.streams.conduits.isDraining;
  }

  handleDialFailed(peer: string, nowMs: number): void {
    this.#nowMs = nowMs;
    this.counters.add('dial-failed');
    this.membership.handleDialFailed(peer, nowMs);
    this.#settle();
  }

  /** TLS over a circuit was refused or broke before a tunnel was there. */
  handleSecureFailed(stream: LocalStream, reason: Reason, nowMs: number): void {
    this.#nowMs = nowMs;
    this.counters.add(`secure-failed-${countableCode(reason.code)}`);
    this.streams.reset(stream, reason);
    this.#endToEnd.handleCircuitEnded(stream, reason, nowMs);
  }

  handleDeadline(nowMs: number, wallMs: number): void {
    this.#nowMs = nowMs;
    this.#wallOffsetMs = wallMs - nowMs;
    if (nowMs >= this.#sweepMs) this.#sweep();
    else if (nowMs >= this.streams.conduits.deadlineMs()) this.streams.conduits.handleDeadline(nowMs);
    this.linkState.handleDeadline(nowMs, wallMs);
    this.membership.handleDeadline(nowMs);
    this.#settle();
  }

  deadlineMs(): number {
    this.#nextMs ??= this.#findDeadline();
    return Math.min(this.#nextMs, this.streams.conduits.deadlineMs());
  }

  #findDeadline(): number {
    return Math.min(this.#sweepMs, this.linkState.deadlineMs(), this.membership.deadlineMs() ?? this.#sweepMs);
  }

  /** Measures the round trip to a node over the tunnel that streams would take; a `pong` or `ping-failed` follows. */
  ping(peer: string, token: number, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#pings.ping(peer, token, nowMs);
  }

  poll(): NodeOutput | undefined {
    return this.#outputs.poll();
  }

  /** A tunnel that may have something to send. */
  pollDirty(): Tunnel | undefined {
    for (const tunnel of this.#dirty) {
      this.#dirty.delete(tunnel);
      return tunnel;
    }
    return undefined;
  }

  /** Next bytes for a tunnel's transport, see {@link Mux.pollTransmit}; undefined when nothing may be sent now. */
  pollTransmit(tunnel: Tunnel, nowMs: number, roomBytes?: number): Uint8Array | undefined {
    const piece = tunnel.mux.pollTransmit(nowMs, roomBytes);
    if (tunnel.mux.hasEvents) {
      this.#nowMs = nowMs;
      this.#readEvents(tunnel);
    }
    return piece;
  }

  tunnels(): readonly Tunnel[] {
    return [...this.#tunnels].filter((tunnel) => tunnel.state !== 'greeting');
  }

  /** The tunnel that streams to a node take now. */
  tunnelTo(peer: string): Tunnel | undefined {
    return this.#endToEnd.tunnelTo(peer);
  }

  get circuitCount(): number {
    return this.#relay.circuitCount;
  }

  get linkState(): LinkState {
    return this.#neighbours.linkState;
  }

  get membership(): Membership {
    return this.#neighbours.membership;
  }

  get #wallMs(): number {
    return this.#nowMs + this.#wallOffsetMs;
  }

  #emit(output: NodeOutput): void {
    this.#outputs.push(output);
  }

  #handleCircuitEnd(tunnel: Tunnel, stream: Stream): void {
    const local = this.streams.createCircuit('in');
    local.attach(tunnel, stream, '', []);
    local.state = 'open';
    stream.owner = local;
    tunnel.mux.accept(stream);
    this.#dirty.add(tunnel);
    this.#emit({ kind: 'secure', stream: local, role: 'acceptor', peer: '' });
  }

  #readEvents(tunnel: Tunnel): void {
    for (let event = tunnel.mux.poll(); event !== undefined; event = tunnel.mux.poll())
      this.#handleEvent(tunnel, event);
  }

  #handleEvent(tunnel: Tunnel, event: MuxEvent<Owner>): void {
    switch (event.kind) {
      case 'data':
        return this.#router.handleData(tunnel, event.stream, event.bytes);
      case 'up':
        return this.#handleUp(tunnel, event.hello.incarnation);
      case 'opened':
        return this.#handleOpened(tunnel, event.stream, event.body);
      case 'pong':
        return this.#emit({ kind: 'pong', token: event.token, rttMs: event.rttMs });
      case 'goaway':
        return this.#beginDrain(tunnel, event.reason);
      case 'failed':
        return this.#fail(tunnel, event.reason);
      case 'accepted':
        return this.#router.handleAccepted(tunnel, event.stream, event.body);
      case 'refused':
      case 'reset':
        return this.#router.handleEnded(tunnel, event.stream, event.reason, false);
      case 'fin':
        return this.#router.handleFin(tunnel, event.stream);
      case 'ack':
        return this.#router.handleAck(tunnel, event.stream, event.ack);
      case 'drain':
        return this.#router.handleDraining(event.stream, event.reason);
      case 'writable':
        return this.#router.handleWritable(tunnel, event.stream);
      case 'finished':
        return this.#router.handleFinished(event.stream);
    }
  }

  #handleUp(tunnel: Tunnel, incarnation: number): void {
    if (tunnel.state !== 'greeting') return;
    tunnel.state = 'up';
    tunnel.incarnation = incarnation;
    if (tunnel.via === 'tcp') this.#handleLinkUp(tunnel);
    if (tunnel.state === 'up') this.#endToEnd.handleTunnelUp(tunnel);
    this.#settle();
  }

  #handleLinkUp(tunnel: Tunnel): void {
    const decision = this.#neighbours.handleUp(tunnel, this.#nowMs, this.#wallMs);
    if (decision.kind === 'lose') return this.#beginDrain(tunnel, { code: 'LINK_DUPLICATE' });
    this.counters.add('link-up');
    if (decision.kind === 'replace') this.#beginDrain(decision.loser, { code: 'LINK_REPLACED' });
  }

  #handleOpened(tunnel: Tunnel, stream: Stream, body: Uint8Array): void {
    if (stream.kind === StreamKind.conduit || stream.kind === StreamKind.attach)
      return this.streams.conduits.handleOpened(tunnel, stream, body);
    if (stream.kind === StreamKind.circuit && tunnel.via === 'tcp') return this.#relay.handleOpen(tunnel, stream, body);
    if (this.#neighbours.handleOpened(tunnel, stream, this.#nowMs, this.#wallMs)) return this.#settle();
    this.counters.add('stream-refused-KIND_UNSUPPORTED');
    tunnel.mux.refuse(stream, { code: 'KIND_UNSUPPORTED', hop: this.#options.name });
  }

  /** The peer broke the protocol, was silent, or refused this tunnel. */
  #fail(tunnel: Tunnel, reason: Reason): void {
    if (tunnel.state === 'closed') return;
    this.#end(tunnel, reason);
    this.#settle();
  }

  /** Nothing more is opened on it, by either side; it ends with its last stream. */
  #beginDrain(tunnel: Tunnel, reason: Reason): void {
    if (tunnel.state !== 'up') return;
    tunnel.mux.goAway(reason);
    tunnel.state = 'draining';
    this.#dirty.add(tunnel);
    this.#neighbours.closeStreams(tunnel);
    this.#endToEnd.handleTunnelGone(tunnel);
    this.#handleLinkGone(tunnel);
    this.streams.conduits.moveFrom(tunnel, reason);
    if (tunnel.via === 'tcp') for (const stream of tunnel.mux.streams()) this.#router.handleDraining(stream, reason);
    this.#settle();
  }

  #end(tunnel: Tunnel, reason: Reason): void {
    if (tunnel.state === 'closed') return;
    const wasGreeting = tunnel.state === 'greeting';
    tunnel.state = 'closed';
    this.#tunnels.delete(tunnel);
    this.counters.add(`tunnel-ended-${countableCode(reason.code)}`);
    // Before its streams are told, so that those that try again do not meet it.
    this.#endToEnd.handleTunnelGone(tunnel);
    this.#handleLinkGone(tunnel);
    const lost: Reason = { code: tunnel.via === 'tcp' ? 'LINK_LOST' : 'PATH_LOST', hop: this.#options.name };
    this.#pings.handleLost(tunnel, lost);
    for (const stream of tunnel.mux.close()) this.#router.handleEnded(tunnel, stream, lost, true);
    if (wasGreeting && tunnel.role === 'dialer') this.#handleGreetingFailed(tunnel, reason);
    this.#emit({ kind: 'close-tunnel', tunnel, reason });
  }

  #handleGreetingFailed(tunnel: Tunnel, reason: Reason): void {
    if (tunnel.via === 'tcp') this.membership.handleDialFailed(tunnel.peer.name, this.#nowMs);
    else if (tunnel.circuit !== undefined) this.#endToEnd.handleTunnelFailed(tunnel.circuit, reason, this.#nowMs);
  }

  #handleLinkGone(tunnel: Tunnel): void {
    if (this.#neighbours.handleGone(tunnel, this.#nowMs, this.#wallMs)) this.counters.add('link-down');
  }

  #sweep(): void {
    const isInUse = this.streams.conduits.isBusy;
    this.#sweepMs = this.#nowMs + (isInUse ? SWEEP_INTERVAL_MS / 2 : SWEEP_INTERVAL_MS);
    this.#endToEnd.handleDeadline(this.#nowMs);
    this.streams.conduits.policy.check(this.#wallMs);
    this.streams.conduits.handleDeadline(this.#nowMs);
    this.#paths.handleDeadline(this.#nowMs);
    this.#neighbours.gossip.handleDeadline(this.#nowMs);
    for (const tunnel of this.#tunnels) this.#sweepTunnel(tunnel);
  }

  #sweepTunnel(tunnel: Tunnel): void {
    const { mux } = tunnel;
    mux.liveness = livenessOf(tunnel);
    if ((mux.deadlineMs() ?? Number.POSITIVE_INFINITY) <= this.#nowMs) {
      mux.handleDeadline(this.#nowMs);
      this.#dirty.add(tunnel);
      this.#readEvents(tunnel);
    }
    if (mux.streamCount > 0) tunnel.idleSinceMs = this.#nowMs;
    const peer = tunnel.peer.name;
    if (this.#neighbours.link(peer) === tunnel && mux.rttMs > 0)
      this.#neighbours.handlePong(peer, mux.rttMs, this.#nowMs, this.#wallMs);
    const ownStreams = this.#neighbours.ownStreamCount(tunnel);
    if (tunnel.role === 'dialer' && mux.streamCount > ownStreams) this.membership.handleTraffic(peer, this.#nowMs);
    if (this.#paths.isLeft(tunnel, this.#nowMs)) return this.#beginDrain(tunnel, { code: 'PATH_DRAINING' });
    const upkeep = decideUpkeep(tunnel, this.#nowMs, this.#wallMs);
    if (upkeep?.kind === 'end') return this.#end(tunnel, upkeep.reason);
    if (upkeep?.kind === 'replace') return this.#replace(tunnel);
    if (upkeep?.kind === 'drain') this.#beginDrain(tunnel, upkeep.reason);
  }

  /** Make before break: a link gives way when the new one is up, an end-to-end tunnel likewise. */
  #replace(tunnel: Tunnel): void {
    const peer = tunnel.peer.name;
    noteReplacing(tunnel, this.#wallMs);
    this.counters.add('tunnel-replaced');
    if (tunnel.via === 'circuit') return this.#endToEnd.replace(tunnel, this.#nowMs);
    const address = this.membership.addressOf(peer);
    if (address !== undefined && this.#neighbours.link(peer) === tunnel) this.#emit({ kind: 'dial', peer, address });
  }

  /** Carries out what link state and plan decided. */
  #settle(): void {
    this.#nextMs = undefined;
    this.#neighbours.settle(this.#nowMs);
  }
}
