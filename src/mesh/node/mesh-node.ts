import { Counters } from '#kernel/counters.ts';
import { countableCode } from '#kernel/error-codes.ts';
import { EventQueue } from '#kernel/event-queue.ts';
import { LinkState } from '#mesh/linkstate/linkstate.ts';
import { Membership } from '#mesh/membership/membership.ts';
import { type Reason, StreamKind } from '#mesh/mux/frame.ts';
import type { MuxEvent } from '#mesh/mux/mux-types.ts';
import { DEFAULT_POOL_BYTES, WindowPool } from '#mesh/mux/window-pool.ts';
import { EndToEnd } from '#mesh/node/end-to-end.ts';
import { LinkStateStreams } from '#mesh/node/linkstate-streams.ts';
import { LinkTable } from '#mesh/node/link-table.ts';
import { LocalStreams } from '#mesh/node/local-streams.ts';
import type { MeshNodeOptions, MeshNodePorts, OpenedTunnel } from '#mesh/node/node-options.ts';
import type { NodeOutput } from '#mesh/node/output.ts';
import { Relay } from '#mesh/node/relay.ts';
import { ServiceDirectory } from '#mesh/node/services.ts';
import { createTunnel, refusalOf } from '#mesh/node/create-tunnel.ts';
import { decideUpkeep } from '#mesh/node/tunnel-upkeep.ts';
import type { LocalStream, Owner, Stream, Tunnel } from '#mesh/node/tunnel.ts';
import type { PeerIdentity } from '#trust/identity.ts';
import { RevocationSet } from '#trust/revocation.ts';
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
/** Time-outs, idle tunnels and drains are looked at this often. */
const SWEEP_INTERVAL_MS = 250;
export class MeshNode {
  readonly counters = new Counters();
  readonly directory = new ServiceDirectory();
  /** The streams that begin or end here. */
  readonly streams: LocalStreams;
  readonly #options: MeshNodeOptions;
  readonly #ports: MeshNodePorts;
  readonly #linkState: LinkState;
  readonly #membership: Membership;
  readonly #relay: Relay;
  readonly #endToEnd: EndToEnd;
  readonly #linkStateStreams: LinkStateStreams;
  readonly #pool: WindowPool;
  readonly #links: LinkTable;
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
    this.#links = new LinkTable(options.name);
    const { name: origin, incarnation, relay } = options;
    this.#linkState = new LinkState(ports.linkState, { origin, incarnation, relay }, nowMs, wallMs);
    this.#membership = new Membership({ random: ports.random }, { name: origin, relay }, nowMs);
    this.#linkStateStreams = new LinkStateStreams((tunnel) => this.#dirty.add(tunnel));
    this.#relay = new Relay({
      self: origin,
      counters: this.counters,
      maxStreams: options.maxPeerStreams ?? MAX_PEER_STREAMS,
      isRelay: () => options.relay,
      link: (peer) => this.#links.get(peer),
      linkCount: () => this.#links.size,
      touch: (tunnel) => this.#dirty.add(tunnel),
      handleCircuitEnd: (tunnel, stream) => this.#handleCircuitEnd(tunnel, stream),
    });
    this.#endToEnd = new EndToEnd({
      link: (peer) => this.#links.get(peer),
      path: (to) => this.#linkState.path(to),
      newStream: () => this.streams.create('circuit', 'out', ''),
      abandon: (circuit, reason) => this.streams.abandon(circuit, reason),
      emit: (output) => this.#emit(output),
      touch: (tunnel) => this.#dirty.add(tunnel),
    });
    this.streams = new LocalStreams({
      self: origin,
      counters: this.counters,
      directory: this.directory,
      endToEnd: this.#endToEnd,
      cost: (node) => this.#linkState.path(node).primary?.cost,
      nowMs: () => this.#nowMs,
      wallMs: () => this.#wallMs,
      emit: (output) => this.#emit(output),
      touch: (tunnel) => this.#dirty.add(tunnel),
    });
  }

  /** A snapshot that was verified and believed. */
  handleSnapshot(body: SnapshotBody, nowMs: number, issuersChanged = true): void {
    this.#nowMs = nowMs;
    this.directory.handleSnapshot(body);
    this.#revocations = new RevocationSet(body.revocations);
    this.#membership.handleMembers(body.nodes, nowMs);
    for (const tunnel of this.#tunnels) {
      if (this.#revocations.isRevoked(tunnel.peer)) this.#end(tunnel, { code: 'CERT_REVOKED' });
    }
    this.handleTrustChanged(nowMs, issuersChanged);
  }

  /** Issuers, revocations or the own certificate changed. */
  handleTrustChanged(nowMs: number, issuersChanged: boolean): void {
    this.#linkState.handleTrustChanged(nowMs, this.#wallMs, issuersChanged);
    this.#settle();
  }

  isRevoked(identity: PeerIdentity): boolean {
    return this.#revocations.isRevoked(identity);
  }

  handleTunnelOpened(opened: OpenedTunnel, nowMs: number): Tunnel {
    this.#nowMs = nowMs;
    const accepts = (peer: string): boolean => this.#membership.accepts(peer);
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

  handleDialFailed(peer: string, nowMs: number): void {
    this.#nowMs = nowMs;
    this.counters.add('dial-failed');
    this.#membership.handleDialFailed(peer, nowMs);
    this.#settle();
  }

  /** TLS over a circuit was refused or broke before a tunnel was there. */
  handleSecureFailed(stream: LocalStream, reason: Reason, nowMs: number): void {
    this.#nowMs = nowMs;
    this.counters.add(`secure-failed-${countableCode(reason.code)}`);
    this.streams.reset(stream, reason);
    this.#endToEnd.handleCircuitEnded(stream, reason);
  }

  handleDeadline(nowMs: number, wallMs: number): void {
    this.#nowMs = nowMs;
    this.#wallOffsetMs = wallMs - nowMs;
    if (nowMs >= this.#sweepMs) this.#sweep();
    this.#linkState.handleDeadline(nowMs, wallMs);
    this.#membership.handleDeadline(nowMs);
    this.#settle();
  }

  deadlineMs(): number {
    this.#nextMs ??= this.#findDeadline();
    return this.#nextMs;
  }

  #findDeadline(): number {
    const linkState = this.#linkState.deadlineMs() ?? this.#sweepMs;
    const membership = this.#membership.deadlineMs() ?? this.#sweepMs;
    return Math.min(this.#sweepMs, linkState, membership);
  }

  /** Measures the round trip to a node over the tunnel that streams would take; a `pong` or `ping-failed` follows. */
  ping(peer: string, token: number, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#endToEnd.acquire(
      peer,
      (tunnel, reason) => {
        const isSent = tunnel?.mux.ping(token, this.#nowMs) ?? false;
        if (tunnel !== undefined) this.#dirty.add(tunnel);
        if (!isSent)
          this.#emit({
            kind: 'ping-failed',
            token,
            reason: tunnel === undefined ? reason : { code: 'TUNNEL_BACKLOG' },
          });
      },
      nowMs,
    );
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
    return this.#linkState;
  }

  get membership(): Membership {
    return this.#membership;
  }

  get #wallMs(): number {
    return this.#nowMs + this.#wallOffsetMs;
  }

  #emit(output: NodeOutput): void {
    this.#outputs.push(output);
  }

  #handleCircuitEnd(tunnel: Tunnel, stream: Stream): void {
    const local = this.streams.create('circuit', 'in', '');
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
        return this.#handleData(tunnel, event.stream, event.bytes);
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
        return this.#handleAccepted(event.stream);
      case 'refused':
      case 'reset':
        return this.#handleEnded(tunnel, event.stream.owner, event.reason);
      case 'fin':
        return this.#handleFin(event.stream.owner);
      case 'writable':
        return this.#handleWritable(tunnel, event.stream.owner);
      case 'finished':
        return this.#handleFinished(event.stream.owner);
    }
  }

  #handleData(tunnel: Tunnel, stream: Stream, bytes: Uint8Array): void {
    const { owner } = stream;
    if (owner?.kind === 'relay') return this.#relay.handleData(tunnel, stream, owner, bytes, this.#nowMs);
    if (owner?.kind === 'local') return this.#emit({ kind: 'data', stream: owner, bytes });
    if (owner === undefined) return;
    const isReadable = owner.reader.handleBytes(bytes, (message) =>
      this.#linkState.handleMessage(tunnel.peer.name, message, this.#nowMs, this.#wallMs),
    );
    tunnel.mux.consume(stream, bytes.byteLength, this.#nowMs);
    if (!isReadable) this.#fail(tunnel, { code: 'LINKSTATE_TOO_BIG' });
    this.#settle();
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
    const decision = this.#links.handleUp(tunnel);
    if (decision.kind === 'lose') return this.#beginDrain(tunnel, { code: 'LINK_DUPLICATE' });
    const peer = tunnel.peer.name;
    this.counters.add('link-up');
    this.#membership.handleLinkUp(peer, this.#nowMs);
    // The side that accepted has its link-state stream only when the dialler's OPEN arrives.
    if (tunnel.role === 'dialer') {
      this.#linkStateStreams.open(tunnel);
      this.#linkState.handleLinkUp(peer, this.#nowMs, this.#wallMs);
    }
    if (decision.kind === 'replace') this.#beginDrain(decision.loser, { code: 'LINK_REPLACED' });
  }

  #handleOpened(tunnel: Tunnel, stream: Stream, body: Uint8Array): void {
    if (stream.kind === StreamKind.stream) return this.streams.handleOpened(tunnel, stream, body);
    if (stream.kind === StreamKind.circuit && tunnel.via === 'tcp') return this.#relay.handleOpen(tunnel, stream, body);
    if (stream.kind === StreamKind.linkstate && tunnel.via === 'tcp' && tunnel.linkstate === undefined) {
      this.#linkStateStreams.accept(tunnel, stream);
      this.#linkState.handleLinkUp(tunnel.peer.name, this.#nowMs, this.#wallMs);
      return this.#settle();
    }
    this.counters.add('stream-refused-KIND_UNSUPPORTED');
    tunnel.mux.refuse(stream, { code: 'KIND_UNSUPPORTED', hop: this.#options.name });
  }

  #handleAccepted(stream: Stream): void {
    const { owner } = stream;
    if (owner?.kind === 'relay') this.#relay.handleAccepted(owner);
    else if (owner?.kind === 'local') this.streams.handleAccepted(owner);
  }

  #handleEnded(tunnel: Tunnel, owner: Owner | undefined, reason: Reason): void {
    if (owner?.kind === 'relay') this.#relay.handleEnded(owner, reason);
    else if (owner?.kind === 'local') this.streams.handleEnded(owner, reason);
    // A link without link state is none.
    else if (tunnel.state === 'up') this.#fail(tunnel, { code: 'LINK_LOST' });
  }

  #handleFin(owner: Owner | undefined): void {
    if (owner?.kind === 'relay') this.#relay.handleFin(owner, this.#nowMs);
    else if (owner?.kind === 'local') this.#emit({ kind: 'end', stream: owner });
  }

  #handleWritable(tunnel: Tunnel, owner: Owner | undefined): void {
    if (owner?.kind === 'relay') this.#relay.handleWritable(owner, this.#nowMs);
    else if (owner?.kind === 'local') this.#emit({ kind: 'writable', stream: owner });
    else if (owner?.kind === 'linkstate') {
      this.#linkState.handleWritable(tunnel.peer.name, true);
      this.#settle();
    }
  }

  #handleFinished(owner: Owner | undefined): void {
    if (owner?.kind === 'relay') this.#relay.handleFinished(owner);
    else if (owner?.kind === 'local') this.streams.handleFinished(owner);
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
    this.#linkStateStreams.close(tunnel);
    this.#endToEnd.handleTunnelGone(tunnel);
    if (this.#links.remove(tunnel)) this.#handleLinkGone(tunnel.peer.name);
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
    if (this.#links.remove(tunnel)) this.#handleLinkGone(tunnel.peer.name);
    const lost: Reason = { code: tunnel.via === 'tcp' ? 'LINK_LOST' : 'PATH_LOST', hop: this.#options.name };
    for (const token of tunnel.mux.pingTokens()) this.#emit({ kind: 'ping-failed', token, reason: lost });
    for (const stream of tunnel.mux.close()) this.#handleEnded(tunnel, stream.owner, lost);
    if (wasGreeting && tunnel.role === 'dialer') this.#handleGreetingFailed(tunnel, reason);
    this.#emit({ kind: 'close-tunnel', tunnel, reason });
  }

  #handleGreetingFailed(tunnel: Tunnel, reason: Reason): void {
    if (tunnel.via === 'tcp') this.#membership.handleDialFailed(tunnel.peer.name, this.#nowMs);
    else this.#endToEnd.handleTunnelFailed(tunnel.peer.name, reason);
  }

  #handleLinkGone(peer: string): void {
    this.counters.add('link-down');
    this.#linkState.handleLinkDown(peer, this.#nowMs, this.#wallMs);
    this.#membership.handleLinkDown(peer, this.#nowMs);
  }

  #sweep(): void {
    this.#sweepMs = this.#nowMs + SWEEP_INTERVAL_MS;
    this.#endToEnd.handleDeadline(this.#nowMs);
    for (const tunnel of this.#tunnels) this.#sweepTunnel(tunnel);
  }

  #sweepTunnel(tunnel: Tunnel): void {
    const { mux } = tunnel;
    if ((mux.deadlineMs() ?? Number.POSITIVE_INFINITY) <= this.#nowMs) {
      mux.handleDeadline(this.#nowMs);
      this.#dirty.add(tunnel);
      this.#readEvents(tunnel);
    }
    if (mux.streamCount > 0) tunnel.idleSinceMs = this.#nowMs;
    const peer = tunnel.peer.name;
    if (this.#links.get(peer) === tunnel && mux.rttMs > 0) {
      this.#linkState.handleLinkCost(peer, mux.rttMs, this.#nowMs, this.#wallMs);
      this.#membership.handleDistance(peer, mux.rttMs);
    }
    const ownStreams = tunnel.linkstate === undefined ? 0 : 1;
    if (tunnel.role === 'dialer' && mux.streamCount > ownStreams) this.#membership.handleTraffic(peer, this.#nowMs);
    const upkeep = decideUpkeep(tunnel, this.#nowMs, this.#wallMs);
    if (upkeep?.kind === 'end') return this.#end(tunnel, upkeep.reason);
    if (upkeep?.kind !== 'drain') return;
    this.#beginDrain(tunnel, upkeep.reason);
  }

  /** Carries out what link state and plan decided. */
  #settle(): void {
    this.#nextMs = undefined;
    for (let output = this.#linkState.poll(); output !== undefined; output = this.#linkState.poll()) {
      if (output.kind === 'alarm') this.#emit(output);
      else if (output.kind === 'send') this.#sendLinkState(output.peer, output.message);
    }
    for (let output = this.#membership.poll(); output !== undefined; output = this.#membership.poll()) {
      if (output.kind === 'dial') this.#emit(output);
      else this.#closeLink(output.peer);
    }
  }

  #sendLinkState(peer: string, message: Uint8Array): void {
    const link = this.#links.get(peer);
    if (link === undefined) return;
    if (!this.#linkStateStreams.send(link, message, this.#nowMs)) this.#linkState.handleWritable(peer, false);
  }

  #closeLink(peer: string): void {
    this.#emit({ kind: 'cancel-dial', peer });
    const link = this.#links.get(peer);
    if (link === undefined) return;
    this.#beginDrain(link, { code: 'LINK_NOT_PLANNED' });
  }
}
