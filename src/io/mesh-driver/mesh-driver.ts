import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { codeOf } from '#kernel/code-of.ts';
import type { LinkHandlers, LinkWatch } from '#io/detector-udp/link-detector.ts';
import { dialLink } from '#io/tunnel-tls/dial-link.ts';
import {
  type HandshakeOptions,
  secureAsAcceptor,
  secureAsDialer,
  type SecuredTransport,
} from '#io/tunnel-tls/handshake.ts';
import type { OfferedSnapshot } from '#mesh/gossip/snapshot-gossip.ts';
import type { Reason } from '#mesh/mux/frame.ts';
import type { MeshNode } from '#mesh/node/mesh-node.ts';
import { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import type { NodeOutput } from '#mesh/node/output.ts';
import type { LocalStream, Tunnel } from '#mesh/node/tunnel.ts';
import type { PeerIdentity } from '#trust/identity.ts';
import type { SnapshotInstance } from '#trust/snapshot.ts';
import { codeForPeer, MeshStream, MeshStreamError } from './mesh-stream.ts';

export interface DriverPorts {
  /** Present credentials for a handshake with one node, or with any member. */
  handshake(expectedNode?: string): HandshakeOptions;
  /** Connects to a service's target for a caller; rejects with an error that has a `code`. */
  connectTarget(
    instance: SnapshotInstance,
    caller: PeerIdentity,
    service: string,
    trace: string | undefined,
  ): Promise<Duplex>;
  /** Joins two streams until both have ended. */
  splice(left: Duplex, right: Duplex): void;
  /** Watches a link for the peer's silence, where something can. */
  watchLink?(socket: TLSSocket, role: 'dialer' | 'acceptor', handlers: LinkHandlers): LinkWatch | undefined;
  /** Whether a snapshot that a neighbour offers is believed; the node knows of it then. */
  believe(offer: OfferedSnapshot): boolean;
  warn(code: string, detail: string): void;
}

/** Bytes given to TLS at once: few system calls, and still in the cache when they are sent. */
const GROUP_BYTES = 524_288;
/** What TLS puts into one record (RFC 8446 §5.1). A frame that ends where a record ends is read in one piece, and forwarded so. */
const RECORD_BYTES = 16_384;
/** Less room than this is not worth a frame: the next one runs into the following record. */
const LEAST_ROOM_BYTES = 1_024;
const LARGEST_FRAME_BYTES = 2 * RECORD_BYTES;
/** End-to-end handshakes that one neighbour may have under way here: any member behind it may ask for them. */
const MAX_SECURING = 64;
/** Rounds of the loop in one turn; what is left runs in the next, after the system's events. */
const MAX_ROUNDS = 10_000;

/**
 * The one loop that runs a node: what arrives goes into the machine at once, what the machine wants is carried out once per
 * turn of the event loop, so that what came together leaves together.
 */
export class MeshDriver {
  readonly node: MeshNode;
  readonly #ports: DriverPorts;
  readonly #sockets = new Map<Tunnel, TLSSocket>();
  readonly #watches = new Map<Tunnel, LinkWatch>();
  readonly #streams = new Map<LocalStream, MeshStream>();
  readonly #opening = new Map<LocalStream, { resolve(stream: MeshStream): void; reject(error: Error): void }>();
  readonly #pings = new Map<number, { resolve(rttMs: number): void; reject(error: Error): void }>();
  readonly #dials = new Map<string, AbortController>();
  readonly #scratch = Buffer.allocUnsafeSlow(GROUP_BYTES);
  #nextPing = 1;
  /** Handshakes of end-to-end tunnels under way, by the neighbour whose link they came over. */
  readonly #securing = new Map<string, Set<MeshStream>>();
  #isScheduled = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  #timerMs = Number.POSITIVE_INFINITY;
  readonly #turn = (): void => this.#run();
  readonly schedule = (): void => {
    if (this.#isScheduled || this.#isClosed) return;
    this.#isScheduled = true;
    setImmediate(this.#turn);
  };

  constructor(node: MeshNode, ports: DriverPorts) {
    this.node = node;
    this.#ports = ports;
    this.schedule();
  }

  /** Takes over a link that was accepted. */
  acceptLink(secured: SecuredTransport): void {
    if (!secured.socket.destroyed) this.#attach(secured, 'acceptor', 'tcp', [secured.peer.name]);
  }

  /** Opens a stream to a service on another node. Rejects with {@link MeshStreamError}. */
  openService(service: string, trace?: string): Promise<MeshStream> {
    const { promise, resolve, reject } = Promise.withResolvers<MeshStream>();
    const local = this.node.streams.open(service, performance.now(), trace);
    this.#opening.set(local, { resolve, reject });
    this.schedule();
    return promise;
  }

  /** Round trip to a node in milliseconds over the tunnel that streams take. */
  ping(peer: string): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const token = this.#nextPing++;
    this.#pings.set(token, { resolve, reject });
    this.node.ping(peer, token, performance.now());
    this.schedule();
    return promise;
  }

  /** What watches a link, where something does. */
  watchOf(tunnel: Tunnel): LinkWatch | undefined {
    return this.#watches.get(tunnel);
  }

  /** Ends every tunnel at once. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const reason = { code: 'NODE_STOPPED' };
    for (const waiting of [...this.#opening.values(), ...this.#pings.values()])
      waiting.reject(new MeshStreamError(reason));
    for (const dial of this.#dials.values()) dial.abort();
    for (const socket of this.#sockets.values()) socket.destroy();
  }

  #run(): void {
    this.#isScheduled = false;
    if (this.#isClosed) return;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const output = this.node.poll();
      if (output !== undefined) {
        this.#carryOut(output);
        continue;
      }
      const tunnel = this.node.pollDirty();
      if (tunnel === undefined) return this.#arm();
      this.#flush(tunnel);
    }
    this.schedule();
  }

  #arm(): void {
    const deadlineMs = this.node.deadlineMs();
    if (this.#timer !== undefined && this.#timerMs <= deadlineMs) return;
    clearTimeout(this.#timer);
    this.#timerMs = deadlineMs;
    this.#timer = setTimeout(() => this.#handleTimer(), Math.max(1, Math.ceil(deadlineMs - performance.now())));
  }

  #handleTimer(): void {
    this.#timer = undefined;
    this.node.handleDeadline(performance.now(), Date.now());
    this.schedule();
  }

  /**
   * Gives the transport the next group of pieces, one write at a time: a TLS write has consumed its bytes when it returns
   * and is told done a turn later, so the scratch buffer is free again at once and what queues up meanwhile stays with the
   * scheduler.
   */
  #flush(tunnel: Tunnel): void {
    const socket = this.#sockets.get(tunnel);
    if (socket === undefined || socket.destroyed || socket.writableLength > 0) return;
    const nowMs = performance.now();
    let length = 0;
    while (length <= GROUP_BYTES - LARGEST_FRAME_BYTES || tunnel.mux.isMidFrame) {
      const piece = this.node.pollTransmit(tunnel, nowMs, roomInRecord(length));
      if (piece === undefined) break;
      this.#scratch.set(piece, length);
      length += piece.byteLength;
    }
    if (length === 0) return;
    socket.write(this.#scratch.subarray(0, length), () => {
      this.#flush(tunnel);
      this.schedule();
    });
  }

  #carryOut(output: NodeOutput): void {
    switch (output.kind) {
      case 'data':
        return this.#streams.get(output.stream)?.handleData(output.bytes);
      case 'writable':
        return this.#streams.get(output.stream)?.handleWritable();
      case 'end':
        return this.#streams.get(output.stream)?.handleEnd();
      case 'reset':
        return this.#streams.get(output.stream)?.handleReset(output.reason);
      case 'accepted':
        return this.#handleAccepted(output.stream);
      case 'refused':
        return this.#handleRefused(output.stream, output.reason);
      case 'incoming':
        return this.#handleIncoming(output.stream, output.caller, output.instance);
      case 'secure':
        return this.#handleSecure(output.stream, output.role, output.peer);
      case 'dial':
        return this.#handleDial(output.peer, output.address);
      case 'cancel-dial':
        return this.#dials.get(output.peer)?.abort();
      case 'close-tunnel':
        return this.#handleClose(output.tunnel);
      case 'pong':
        return this.#settlePing(output.token, (ping) => ping.resolve(output.rttMs));
      case 'ping-failed':
        return this.#settlePing(output.token, (ping) => ping.reject(new MeshStreamError(output.reason)));
      case 'snapshot-offered':
        return this.#handleOffer(output.peer, output.offer);
      case 'alarm':
        return this.#ports.warn(output.code, output.detail);
    }
  }

  #handleOffer(peer: string, offer: OfferedSnapshot): void {
    const isBelieved = this.#ports.believe(offer);
    this.node.counters.add(isBelieved ? 'gossip-believed' : 'gossip-refused');
    if (!isBelieved) this.node.handleBelieved(undefined, peer, performance.now());
    this.schedule();
  }

  #settlePing(token: number, act: (ping: { resolve(rttMs: number): void; reject(error: Error): void }) => void): void {
    const ping = this.#pings.get(token);
    this.#pings.delete(token);
    if (ping !== undefined) act(ping);
  }

  #newStream(local: LocalStream): MeshStream {
    const stream = new MeshStream(this.node, local, this.schedule);
    this.#streams.set(local, stream);
    stream.once('close', () => this.#streams.delete(local));
    // Whoever splices it listens too; a stream that fails before that must not end the process.
    stream.on('error', () => stream.destroy());
    return stream;
  }

  #handleAccepted(local: LocalStream): void {
    const opening = this.#opening.get(local);
    this.#opening.delete(local);
    opening?.resolve(this.#newStream(local));
  }

  #handleRefused(local: LocalStream, reason: Reason): void {
    const opening = this.#opening.get(local);
    this.#opening.delete(local);
    opening?.reject(new MeshStreamError(reason));
  }

  #handleIncoming(local: LocalStream, caller: PeerIdentity, instance: SnapshotInstance): void {
    if (local.state === 'closed') return;
    const trace = local instanceof ConduitHandle ? local.trace : undefined;
    this.#ports.connectTarget(instance, caller, local.service, trace).then(
      (target) => {
        if (local.state === 'closed') {
          target.destroy();
          return;
        }
        this.node.streams.accept(local);
        this.#ports.splice(this.#newStream(local), target);
        this.schedule();
      },
      (error: unknown) => {
        this.node.streams.refuse(local, { code: codeForPeer(error, 'TARGET_UNREACHABLE') });
        this.schedule();
      },
    );
  }

  #handleSecure(local: LocalStream, role: 'dialer' | 'acceptor', peer: string): void {
    const transport = this.#newStream(local);
    // What this node builds itself is bounded where it is asked for.
    const neighbour = role === 'acceptor' ? local.tunnel?.peer.name : undefined;
    const release = neighbour === undefined ? (): void => {} : this.#admitSecuring(neighbour, transport);
    const secure = role === 'dialer' ? secureAsDialer : secureAsAcceptor;
    secure(transport, this.#ports.handshake(role === 'dialer' ? peer : undefined)).then(
      (secured) => {
        release();
        if (this.#isClosed || secured.socket.destroyed) {
          secured.socket.destroy();
          return this.#handleSecureFailed(local, 'HANDSHAKE_CLOSED');
        }
        const hops = role === 'dialer' ? local.hops : [local.tunnel?.peer.name ?? '', '…', secured.peer.name];
        this.#attach(secured, role, 'circuit', hops, local);
      },
      (error: unknown) => {
        release();
        this.#handleSecureFailed(local, codeForPeer(error, 'HANDSHAKE_FAILED'));
      },
    );
  }

  #handleSecureFailed(local: LocalStream, code: string): void {
    this.node.handleSecureFailed(local, { code }, performance.now());
    this.schedule();
  }

  /** Counts a handshake that a neighbour brought; where that neighbour has its share under way, the oldest gives way. */
  #admitSecuring(neighbour: string, transport: MeshStream): () => void {
    const underWay = this.#securing.get(neighbour) ?? new Set();
    this.#securing.set(neighbour, underWay);
    for (const oldest of underWay) {
      if (underWay.size < MAX_SECURING) break;
      underWay.delete(oldest);
      oldest.destroy(new MeshStreamError({ code: 'HANDSHAKE_CAP' }));
      this.node.counters.add('secure-failed-HANDSHAKE_CAP');
    }
    underWay.add(transport);
    return () => {
      underWay.delete(transport);
      if (underWay.size === 0 && this.#securing.get(neighbour) === underWay) this.#securing.delete(neighbour);
    };
  }

  #handleDial(peer: string, address: string): void {
    this.#dials.get(peer)?.abort();
    const dial = new AbortController();
    this.#dials.set(peer, dial);
    dialLink(address, this.#ports.handshake(peer), dial.signal).then(
      (secured) => {
        if (this.#dials.get(peer) === dial) this.#dials.delete(peer);
        if (dial.signal.aborted || this.#isClosed) secured.socket.destroy();
        else if (secured.socket.destroyed) this.node.handleDialFailed(peer, performance.now());
        else this.#attach(secured, 'dialer', 'tcp', [peer]);
      },
      (error: unknown) => {
        if (this.#dials.get(peer) === dial) this.#dials.delete(peer);
        if (this.#isClosed) return;
        const code = codeForPeer(error, 'DIAL_FAILED');
        this.node.counters.add(`dial-failed-${code}`);
        if (!dial.signal.aborted) this.node.handleDialFailed(peer, performance.now());
        this.schedule();
      },
    );
  }

  #attach(
    secured: SecuredTransport,
    role: 'dialer' | 'acceptor',
    via: 'tcp' | 'circuit',
    hops: readonly string[],
    circuit?: LocalStream,
  ): void {
    const { socket, peer, group, ownNotAfterMs } = secured;
    const tunnel = this.node.handleTunnelOpened(
      { peer, via, role, hops, group, ownNotAfterMs, ...(circuit === undefined ? {} : { circuit }) },
      performance.now(),
    );
    let end = 'TRANSPORT_CLOSED';
    this.#sockets.set(tunnel, socket);
    const watch = via === 'tcp' ? this.#watch(tunnel, socket, role) : undefined;
    socket.on('data', (chunk: Buffer) => {
      const nowMs = performance.now();
      watch?.handleLife(nowMs);
      this.node.handleTunnelBytes(tunnel, chunk, nowMs);
      this.schedule();
    });
    socket.on('error', (error) => {
      if (codeOf(error)?.startsWith('ERR_SSL_') === true) end = 'TRANSPORT_BROKEN';
      socket.destroy();
    });
    socket.once('end', () => socket.destroy());
    socket.once('close', () => {
      this.#sockets.delete(tunnel);
      this.#watches.delete(tunnel);
      watch?.close();
      this.node.handleTunnelClosed(tunnel, { code: end }, performance.now());
      this.schedule();
    });
    socket.resume();
    this.schedule();
  }

  #watch(tunnel: Tunnel, socket: TLSSocket, role: 'dialer' | 'acceptor'): LinkWatch | undefined {
    const watch = this.#ports.watchLink?.(socket, role, {
      handleSilent: () => {
        this.node.handleTunnelClosed(tunnel, { code: 'LINK_SILENT' }, performance.now());
        socket.destroy();
        this.schedule();
      },
      handleMeasured: (measurement) => {
        this.node.handleLinkMeasured(tunnel.peer.name, measurement, performance.now());
        this.schedule();
      },
    });
    if (watch !== undefined) this.#watches.set(tunnel, watch);
    return watch;
  }

  #handleClose(tunnel: Tunnel): void {
    const socket = this.#sockets.get(tunnel);
    if (socket === undefined) return;
    this.#flush(tunnel);
    if (tunnel.state === 'greeting') socket.end(() => socket.destroy());
    else socket.destroy();
  }
}

/** Bytes that a frame may have to end with the record in which it begins, or with the next one. */
function roomInRecord(offset: number): number {
  const roomBytes = RECORD_BYTES - (offset % RECORD_BYTES);
  return roomBytes < LEAST_ROOM_BYTES ? roomBytes + RECORD_BYTES : roomBytes;
}
