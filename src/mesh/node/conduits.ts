import type { Counters } from '#kernel/counters.ts';
import { countableCode } from '#kernel/error-codes.ts';
import type { RandomSource } from '#kernel/random.ts';
import { Conduit } from '#mesh/conduit/conduit.ts';
import {
  CONDUIT_ID_BYTES,
  type ConduitPosition,
  decodeConduitAttach,
  decodeConduitOpen,
  decodeConduitPosition,
  encodeConduitOpen,
  encodeConduitPosition,
} from '#mesh/conduit/conduit-open.ts';
import { TRANSIENT } from '#mesh/conduit/reasons.ts';
import type { EndReason } from '#mesh/conduit/tombstones.ts';
import { type Ack, type Reason, StreamKind } from '#mesh/mux/frame.ts';
import { AbortDelivery } from '#mesh/node/abort-delivery.ts';
import { ConduitCarrier } from '#mesh/node/conduit-carrier.ts';
import type { EndToEnd } from '#mesh/node/end-to-end.ts';
import { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import { DetachedConduits } from '#mesh/node/detached-conduits.ts';
import type { LocalStream, Stream, Tunnel } from '#mesh/node/tunnel.ts';
import { OfferedConduits } from '#mesh/node/offered-conduits.ts';
import type { NodeOutput } from '#mesh/node/output.ts';
import { PolicySweep, type StreamPolicy } from '#mesh/node/stream-policy.ts';
import { StreamRecord } from '#mesh/node/stream-record.ts';
import type { ServiceDirectory } from '#mesh/node/services.ts';
import type { PeerIdentity } from '#trust/identity.ts';

export interface ConduitsPorts {
  readonly self: string;
  /** Of this process, Unix milliseconds. */
  readonly incarnation: number;
  readonly random: RandomSource;
  readonly counters: Counters;
  readonly directory: ServiceDirectory;
  readonly policy: StreamPolicy;
  readonly endToEnd: EndToEnd;
  /** Nodes of a service that can be reached, nearest first, without this one. */
  instances(service: string): readonly string[];
  /** Those that have not ended. */
  open(): readonly ConduitHandle[];
  create(direction: 'out' | 'in', service: string, conduit: Conduit): ConduitHandle;
  /** The stream is over. */
  forget(stream: LocalStream, reason: Reason | undefined): void;
  /** Ends a stream at once; whoever works on it is told. */
  abandon(stream: LocalStream, reason: Reason): void;
  nowMs(): number;
  wallMs(): number;
  emit(output: NodeOutput): void;
  touch(tunnel: Tunnel): void;
  /** The peer of a tunnel broke the protocol. */
  fail(tunnel: Tunnel, code: string): void;
}

/** OPENs of one conduit at one instance: each survives the loss of a way. */
const MAX_OPEN_ATTEMPTS = 4;
/** An address of a target is dialled for 7 s, and a name may have more than one: an OPEN without an answer for longer goes to the next instance. */
const OPEN_TIMEOUT_MS = 20_000;

/**
 * The conduits that begin or end at this node, between the streams that the driver sees and the tunnels that carry them. The
 * opener chooses the instance, and after a loss the next tunnel; the other end waits for it.
 */
export class Conduits {
  /** This node takes no new streams. */
  isDraining = false;
  readonly record: StreamRecord;
  readonly policy: PolicySweep;
  readonly #ports: ConduitsPorts;
  readonly #carrier: ConduitCarrier;
  readonly #offered = new OfferedConduits();
  readonly #aborts: AbortDelivery;
  readonly #detached: DetachedConduits;
  readonly #owingAcks = new Set<ConduitHandle>();
  readonly #candidates = new Map<ConduitHandle, string[]>();

  constructor(ports: ConduitsPorts) {
    this.#ports = ports;
    this.record = new StreamRecord(ports.counters);
    const { self, policy } = ports;
    const end = (local: ConduitHandle, reason: Reason): void => this.#deny(local, reason);
    this.policy = new PolicySweep({ self, policy, open: () => ports.open(), end });
    this.#carrier = new ConduitCarrier(ports);
    this.#aborts = new AbortDelivery(ports);
    const lose = (local: ConduitHandle, code: string): void => this.#lose(local, { code });
    this.#detached = new DetachedConduits(ports, this.#carrier, lose);
  }

  /** Opens a stream to the nearest instance on another node; the answer is an `accepted` or `refused` output. */
  open(service: string, nowMs: number, trace?: string): LocalStream {
    const local = this.#ports.create('out', service, this.#newConduit());
    local.trace = trace;
    this.#candidates.set(local, [...this.#ports.instances(service)]);
    const denied = this.policy.refusalOf(this.#ports.self, service);
    const hasService = this.#ports.directory.has(service);
    if (denied !== undefined && hasService) this.#giveUp(local, denied);
    else this.#tryInstance(local, { code: hasService ? 'NO_PATH' : 'SERVICE_UNKNOWN' }, nowMs);
    return local;
  }

  /** The target of an offered stream is connected. */
  accept(local: ConduitHandle): void {
    local.state = 'open';
    if (local.stream !== undefined && local.tunnel !== undefined) this.#acceptStream(local, local.tunnel, local.stream);
  }

  send(local: ConduitHandle, bytes: Uint8Array, nowMs: number): void {
    local.conduit.queue.push(bytes);
    this.#carrier.resume(local, nowMs);
  }

  consume(local: ConduitHandle, bytes: number, nowMs: number): void {
    const credit = local.conduit.consume(bytes);
    const { tunnel, stream } = local;
    if (tunnel === undefined || stream === undefined || credit === 0) return;
    tunnel.mux.consume(stream, credit, nowMs);
    this.#ports.touch(tunnel);
  }

  finish(local: ConduitHandle, nowMs: number): void {
    local.conduit.isFinishing = true;
    const { tunnel, stream } = local;
    if (tunnel === undefined || stream?.state !== 'open') return;
    tunnel.mux.finish(stream, nowMs);
    this.#ports.touch(tunnel);
  }

  awaitWritable(local: ConduitHandle, belowBytes: number): void {
    local.wakeBelowBytes = belowBytes;
    if (local.stream !== undefined) local.stream.wakeBelowBytes = belowBytes;
  }

  /** This side ends the stream at once. */
  reset(local: ConduitHandle, reason: Reason): void {
    const { tunnel, stream } = local;
    if (tunnel !== undefined && stream !== undefined) {
      tunnel.mux.reset(stream, reason);
      this.#ports.touch(tunnel);
    }
    const mayBeUnheard = local.direction === 'out' && local.state === 'open';
    const wentBy = local.isAttached ? tunnel : undefined;
    // Where no target was reached, nobody is harmed by another dial.
    this.#close(local, reason, local.state === 'opening');
    if (mayBeUnheard) this.#aborts.begin(local, reason, wentBy);
    if (local.direction === 'in' && wentBy !== undefined) this.#offered.noteTold(local, wentBy, this.#ports.nowMs());
  }

  handleOpened(tunnel: Tunnel, stream: Stream, body: Uint8Array): void {
    if (stream.kind === StreamKind.attach) return this.#handleAttach(tunnel, stream, body);
    const open = decodeConduitOpen(body);
    if (open === undefined) return this.#carrier.refuse(tunnel, stream, 'OPEN_MALFORMED');
    const ended = this.#offered.endOf(tunnel.peer.name, open.id);
    if (ended !== undefined) return this.#carrier.refuse(tunnel, stream, ended.code, ended);
    if (open.incarnation !== this.#ports.incarnation)
      return this.#carrier.refuse(tunnel, stream, 'CONDUIT_INCARNATION');
    const denied = this.policy.refusalOf(tunnel.peer.name, open.service);
    if (denied !== undefined) return this.#carrier.refuse(tunnel, stream, denied.code, denied);
    const known = this.#offered.get(tunnel.peer.name, open.id);
    if (known !== undefined && known.service !== open.service)
      return this.#carrier.refuse(tunnel, stream, 'OPEN_MALFORMED');
    // The same OPEN again: its opener does not know whether the first arrived.
    if (known !== undefined)
      return this.#rebind(known, tunnel, stream, { attempt: open.attempt, received: 0, fin: false });
    if (this.isDraining) return this.#carrier.refuse(tunnel, stream, 'NODE_DRAINING');
    if (this.#offered.isFull(tunnel.peer.name)) return this.#carrier.refuse(tunnel, stream, 'CONDUIT_CAP');
    const instance = this.#ports.directory.instanceOn(open.service, this.#ports.self);
    if (instance === undefined) return this.#carrier.refuse(tunnel, stream, 'SERVICE_NOT_HERE');
    const local = this.#ports.create('in', open.service, new Conduit(open.id, tunnel.incarnation));
    local.conduit.attempt = open.attempt;
    local.trace = open.trace;
    this.#offered.add(tunnel.peer.name, local);
    this.#carrier.bind(local, tunnel, stream);
    this.#ports.emit({ kind: 'incoming', stream: local, caller: tunnel.peer, instance });
  }

  handleAccepted(local: ConduitHandle, stream: Stream, body: Uint8Array): void {
    const { tunnel, conduit } = local;
    if (local.state === 'closed') return this.#aborts.handleAccepted(local, stream);
    if (stream !== local.stream || tunnel === undefined) return;
    const position = decodeConduitPosition(body);
    if (position === undefined || !conduit.resume(position)) return this.#ports.fail(tunnel, 'ACCEPT_UNEXPECTED');
    const wasOpening = local.state === 'opening';
    local.state = 'open';
    local.isAttached = true;
    this.#detached.delete(local);
    if (wasOpening) this.#noteOpened(local);
    else this.#noteMoved(local);
    this.#carrier.goOn(local, tunnel, stream);
    if (wasOpening) this.#ports.emit({ kind: 'accepted', stream: local });
    this.#settleEnd(local, tunnel, stream);
  }

  /** The stream of a conduit was refused or reset by its peer, or lost with its tunnel. */
  handleEnded(local: ConduitHandle, stream: Stream, reason: Reason, isLost: boolean): void {
    if (local.state === 'closed') return this.#aborts.handleEnded(local, stream, reason, isLost);
    if (stream !== local.stream) return;
    const isTransient = isLost || reason.code === 'CONDUIT_MOVED';
    if (local.state === 'opening') return this.#handleOpenFailed(local, reason, isTransient);
    if (local.isAttached && isTransient) return this.#detach(local, reason);
    if (!local.isAttached && (isTransient || TRANSIENT.has(reason.code))) {
      local.detach(this.#ports.nowMs());
      this.#ports.counters.add(`attach-failed-${countableCode(reason.code)}`);
      // It was lost with what the last way was lost with: the next tunnel may stand ready.
      if (isTransient && local.direction === 'out') return this.#detached.seek(local);
      return this.#detached.pace(local);
    }
    const { finReceived, isFinishing } = local.conduit;
    if (reason.code === 'CONDUIT_FINISHED' && finReceived && isFinishing) return this.#close(local, undefined);
    this.#close(local, reason, true);
    this.#ports.emit({ kind: 'reset', stream: local, reason });
  }

  handleData(local: ConduitHandle, tunnel: Tunnel, stream: Stream, bytes: Uint8Array): void {
    if (stream !== local.stream || !local.isAttached) return;
    // Its end came by an earlier stream.
    if (local.conduit.finReceived) return this.#ports.fail(tunnel, 'DATA_AFTER_FIN');
    if (local.conduit.receive(bytes.byteLength, stream.window.sizeBytes))
      this.#carrier.acknowledge(local, tunnel, stream);
    else this.#owingAcks.add(local);
    this.#ports.emit({ kind: 'data', stream: local, bytes });
  }

  handleFin(local: ConduitHandle, tunnel: Tunnel, stream: Stream): void {
    if (stream !== local.stream || !local.isAttached) return;
    const isFirst = !local.conduit.finReceived;
    local.conduit.receiveFin();
    this.#carrier.acknowledge(local, tunnel, stream);
    if (isFirst) this.#ports.emit({ kind: 'end', stream: local });
    this.#settleEnd(local, tunnel, stream);
  }

  handleAck(local: ConduitHandle, tunnel: Tunnel, stream: Stream, ack: Ack): void {
    if (local.state === 'open' && stream === local.stream && local.isAttached) {
      if (!local.conduit.handleAck(ack, stream.finSent)) return this.#ports.fail(tunnel, 'ACK_BEYOND_SENT');
      if (local.conduit.queue.waitingBytes > 0) this.#carrier.resume(local, this.#ports.nowMs());
      this.#settleEnd(local, tunnel, stream);
    }
    if (local.state !== 'closed' || !ack.done) return;
    this.#offered.confirm(local, this.#ports.nowMs());
    tunnel.mux.release(stream);
  }

  /** Moves what this node opened on a tunnel to the one that new streams take. The old stream carries on until there is another way. */
  moveFrom(tunnel: Tunnel, reason: Reason): void {
    for (const { owner } of tunnel.mux.streams()) {
      if (owner?.kind !== 'local' || !(owner instanceof ConduitHandle) || owner.direction !== 'out') continue;
      if (owner.state !== 'open' || owner.tunnel !== tunnel) continue;
      owner.beginMove(reason.code, this.#ports.nowMs());
      this.#detached.add(owner);
      this.#detached.seek(owner);
    }
  }

  get isBusy(): boolean {
    return this.record.isBusy || !this.#offered.isEmpty;
  }

  /** Ends what is detached too long, tries again, and acknowledges what is due. */
  handleDeadline(nowMs: number): void {
    this.#offered.handleDeadline(nowMs);
    this.#aborts.handleDeadline(nowMs);
    for (const local of this.#candidates.keys()) {
      if (local.stream !== undefined && nowMs >= local.openedMs + OPEN_TIMEOUT_MS) this.#handleUnanswered(local);
    }
    for (const local of this.#owingAcks) {
      if (local.isAttached && local.tunnel !== undefined && local.stream !== undefined && local.conduit.owesAck)
        this.#carrier.acknowledge(local, local.tunnel, local.stream);
    }
    this.#owingAcks.clear();
    this.policy.handleTurn();
    this.#detached.handleDeadline(nowMs);
  }

  /** When `handleDeadline` has something to do that a sweep is too late for. */
  deadlineMs(): number {
    return this.policy.isPending ? 0 : this.#detached.nextRetryMs;
  }

  /** Ends everything that begins or ends here, in both directions' sight. */
  endAll(): void {
    for (const local of this.#ports.open()) this.#ports.abandon(local, { code: 'NODE_DRAINED', hop: this.#ports.self });
  }

  /** Ends the waiting conduits of peers that may not speak any more; their tunnels ended already. */
  handleRevoked(isRevoked: (peer: PeerIdentity) => boolean): void {
    for (const local of this.#detached.all()) {
      if (local.peerIdentity !== undefined && isRevoked(local.peerIdentity))
        this.#ports.abandon(local, { code: 'CERT_REVOKED' });
    }
  }

  #tryInstance(local: ConduitHandle, reason: Reason, nowMs = this.#ports.nowMs()): void {
    const node = this.#candidates.get(local)?.shift();
    if (node === undefined) return this.#giveUp(local, reason);
    if (local.conduit.attempt > 0) {
      this.#carrier.release(local);
      local.conduit = this.#newConduit();
    }
    this.#ports.endToEnd.acquire(node, (tunnel, why) => this.#openOn(local, tunnel, why), nowMs);
  }

  #openOn(local: ConduitHandle, tunnel: Tunnel | undefined, why: Reason): void {
    if (local.state === 'closed') return;
    if (tunnel === undefined) return this.#tryInstance(local, why);
    // Pinned to the first process of that name that was met.
    if (local.conduit.incarnation === 0) local.conduit.incarnation = tunnel.incarnation;
    const { id, incarnation } = local.conduit;
    const attempt = ++local.conduit.attempt;
    const { service, trace } = local;
    const body = encodeConduitOpen({ id, attempt, incarnation, service, ...(trace === undefined ? {} : { trace }) });
    const opened = tunnel.mux.open(StreamKind.conduit, body, local, 'local');
    if (!opened.ok) return this.#tryInstance(local, { code: opened.error });
    local.openedMs = this.#ports.nowMs();
    this.#carrier.bind(local, tunnel, opened.value);
    this.#ports.touch(tunnel);
  }

  #handleOpenFailed(local: ConduitHandle, reason: Reason, isTransient: boolean): void {
    const { peer } = local;
    local.detach(this.#ports.nowMs());
    if (local.direction === 'in' && isTransient) return this.#detached.add(local);
    if (local.direction === 'in') return this.#close(local, reason, true);
    // Nothing was said on it yet: whatever this instance's reason, another one may serve.
    const isWayLost = isTransient || reason.code === 'TUNNEL_DRAINING';
    if (!isWayLost || local.conduit.attempt >= MAX_OPEN_ATTEMPTS) return this.#tryInstance(local, reason);
    this.#ports.endToEnd.acquire(peer, (tunnel, why) => this.#openOn(local, tunnel, why), this.#ports.nowMs());
  }

  #handleUnanswered(local: ConduitHandle): void {
    const { tunnel, stream } = local;
    const reason = { code: 'OPEN_TIMEOUT', hop: local.peer };
    local.detach(this.#ports.nowMs());
    if (tunnel !== undefined && stream !== undefined) {
      tunnel.mux.reset(stream, reason);
      this.#ports.touch(tunnel);
    }
    this.#tryInstance(local, reason);
  }

  #giveUp(local: ConduitHandle, reason: Reason): void {
    this.#close(local, reason);
    this.#ports.emit({ kind: 'refused', stream: local, reason });
  }

  #handleAttach(tunnel: Tunnel, stream: Stream, body: Uint8Array): void {
    const attach = decodeConduitAttach(body);
    if (attach === undefined) return this.#carrier.refuse(tunnel, stream, 'OPEN_MALFORMED');
    const ended = this.#offered.endOf(tunnel.peer.name, attach.id);
    const local = this.#offered.get(tunnel.peer.name, attach.id);
    if (ended !== undefined) return this.#carrier.refuse(tunnel, stream, ended.code, ended);
    if (local?.state !== 'open') return this.#carrier.refuse(tunnel, stream, 'CONDUIT_UNKNOWN');
    const denied = this.policy.refusalOf(tunnel.peer.name, local.service);
    if (denied !== undefined) return this.#carrier.refuse(tunnel, stream, denied.code, denied);
    this.#rebind(local, tunnel, stream, attach);
  }

  /** The conduit goes on over this stream; what an older one still brings is ignored. */
  #rebind(
    local: ConduitHandle,
    tunnel: Tunnel,
    stream: Stream,
    at: ConduitPosition & { readonly attempt: number },
  ): void {
    const { conduit } = local;
    if (at.attempt <= conduit.attempt) return this.#carrier.refuse(tunnel, stream, 'CONDUIT_STALE_ATTEMPT');
    if (!conduit.isPosition(at)) return this.#carrier.refuse(tunnel, stream, 'CONDUIT_BAD_OFFSET');
    conduit.attempt = at.attempt;
    if (local.isAttached) local.beginMove('CONDUIT_MOVED', this.#ports.nowMs());
    this.#carrier.leave(local);
    conduit.resume(at);
    this.#carrier.bind(local, tunnel, stream);
    if (local.state !== 'open') return;
    this.#acceptStream(local, tunnel, stream);
    this.#noteMoved(local);
  }

  #acceptStream(local: ConduitHandle, tunnel: Tunnel, stream: Stream): void {
    const { conduit } = local;
    conduit.charge(stream.window.hold(conduit.unconsumedBytes));
    local.isAttached = true;
    this.#detached.delete(local);
    tunnel.mux.accept(stream, encodeConduitPosition(conduit.position));
    this.#carrier.goOn(local, tunnel, stream);
    this.#settleEnd(local, tunnel, stream);
  }

  /** Ends the conduit when both directions have ended and this side knows that its own has arrived. */
  #settleEnd(local: ConduitHandle, tunnel: Tunnel, stream: Stream): void {
    if (local.state !== 'open' || !local.conduit.isComplete) return;
    if (local.direction === 'out') {
      this.#carrier.acknowledge(local, tunnel, stream);
      tunnel.mux.release(stream);
    }
    this.#close(local, undefined);
  }

  /** The stream it ran on is gone. */
  #detach(local: ConduitHandle, reason: Reason): void {
    local.beginMove(reason.code, this.#ports.nowMs());
    local.detach(this.#ports.nowMs());
    this.#ports.counters.add('conduit-detached');
    this.#detached.add(local);
    if (local.direction === 'out') this.#detached.seek(local);
  }

  #noteOpened(local: ConduitHandle): void {
    this.#candidates.delete(local);
    this.record.noteOpened(local, this.#ports.wallMs());
  }

  #noteMoved(local: ConduitHandle): void {
    this.record.noteMoved(local, this.#ports.nowMs(), this.#ports.wallMs());
  }

  /** Whoever waits for it to open is told that, too. */
  #deny(local: ConduitHandle, reason: Reason): void {
    this.#ports.counters.add(`stream-ended-${reason.code}`);
    if (local.direction === 'in' || local.state === 'open') return this.#ports.abandon(local, reason);
    this.reset(local, reason);
    this.#ports.emit({ kind: 'refused', stream: local, reason });
  }

  #newConduit(): Conduit {
    return new Conduit(this.#ports.random.bytes(CONDUIT_ID_BYTES).toHex(), 0);
  }

  #lose(local: ConduitHandle, reason: Reason): void {
    this.#close(local, reason);
    this.#ports.counters.add('conduit-lost');
    this.#ports.emit({ kind: 'reset', stream: local, reason });
  }

  /** `isKnown`: its opener need not ask how it ended. */
  #close(local: ConduitHandle, reason: Reason | undefined, isKnown = false): void {
    if (local.state === 'closed') return;
    this.record.noteClosed(local);
    this.#detached.delete(local);
    this.#carrier.release(local);
    this.#owingAcks.delete(local);
    this.#candidates.delete(local);
    const { code, decision }: EndReason = reason ?? { code: 'CONDUIT_FINISHED' };
    const end = decision === undefined ? { code } : { code, decision };
    if (local.direction === 'in') this.#offered.end(local, end, isKnown, this.#ports.nowMs());
    this.#ports.forget(local, reason);
  }
}
