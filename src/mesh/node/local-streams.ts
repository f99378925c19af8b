import type { Counters } from '#kernel/counters.ts';
import type { RandomSource } from '#kernel/random.ts';
import type { Conduit } from '#mesh/conduit/conduit.ts';
import type { Ack, Reason } from '#mesh/mux/frame.ts';
import { Conduits } from '#mesh/node/conduits.ts';
import type { EndToEnd } from '#mesh/node/end-to-end.ts';
import type { NodeOutput } from '#mesh/node/output.ts';
import type { ServiceDirectory } from '#mesh/node/services.ts';
import { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import type { StreamPolicy } from '#mesh/node/stream-policy.ts';
import { LocalStream, type Stream, type Tunnel } from '#mesh/node/tunnel.ts';

export interface LocalStreamsPorts {
  readonly self: string;
  readonly incarnation: number;
  readonly random: RandomSource;
  readonly counters: Counters;
  readonly directory: ServiceDirectory;
  readonly policy: StreamPolicy;
  readonly endToEnd: EndToEnd;
  /** Cost of the path to another node; undefined when there is none. */
  cost(node: string): number | undefined;
  nowMs(): number;
  wallMs(): number;
  emit(output: NodeOutput): void;
  touch(tunnel: Tunnel): void;
  /** The peer of a tunnel broke the protocol. */
  fail(tunnel: Tunnel, code: string): void;
}

/** Ended streams that status still shows. */
const MAX_REMEMBERED = 64;

/**
 * The streams that begin or end at this node: circuits under end-to-end tunnels, which live and die with their link, and the
 * conduits of services, which do not ({@link Conduits}).
 */
export class LocalStreams {
  readonly conduits: Conduits;
  readonly #ports: LocalStreamsPorts;
  readonly #streams = new Map<number, LocalStream>();
  readonly #ended: ConduitHandle[] = [];
  #nextId = 1;

  constructor(ports: LocalStreamsPorts) {
    this.#ports = ports;
    const { self, incarnation, random, counters, directory, policy, endToEnd } = ports;
    this.conduits = new Conduits({
      self,
      incarnation,
      random,
      counters,
      directory,
      policy,
      endToEnd,
      instances: (service) => this.instances(service),
      open: () => this.list(),
      create: (direction, service, conduit) => this.#createConduit(direction, service, conduit),
      forget: (stream, reason) => this.#forget(stream, reason),
      abandon: (stream, reason) => this.abandon(stream, reason),
      nowMs: () => ports.nowMs(),
      wallMs: () => ports.wallMs(),
      emit: (output) => ports.emit(output),
      touch: (tunnel) => ports.touch(tunnel),
      fail: (tunnel, code) => ports.fail(tunnel, code),
    });
  }

  /** Open streams of services, for status. */
  list(): readonly ConduitHandle[] {
    return [...this.#streams.values()].filter((stream) => stream instanceof ConduitHandle);
  }

  /** The latest streams of services that have ended, oldest first. */
  ended(): readonly ConduitHandle[] {
    return this.#ended;
  }

  createCircuit(direction: 'out' | 'in'): LocalStream {
    const stream = new LocalStream(this.#nextId++, direction, '', this.#ports.wallMs());
    this.#streams.set(stream.id, stream);
    return stream;
  }

  /** Other nodes that publish a service and can be reached, nearest first. */
  instances(service: string): readonly string[] {
    const { self, directory } = this.#ports;
    return directory.nearest(service, (node) => (node === self ? undefined : this.#ports.cost(node)));
  }

  /** Opens a stream to the nearest instance on another node; the answer is an `accepted` or `refused` output. */
  open(service: string, nowMs: number, trace?: string): LocalStream {
    return this.conduits.open(service, nowMs, trace);
  }

  /** Answers an `incoming` output: the target is connected. */
  accept(stream: LocalStream): void {
    if (stream.state === 'opening' && stream instanceof ConduitHandle) this.conduits.accept(stream);
  }

  /** Answers an `incoming` output: there is no target to talk to. */
  refuse(stream: LocalStream, reason: Reason): void {
    this.#ports.counters.add(`stream-refused-${reason.code}`);
    this.reset(stream, { ...reason, hop: this.#ports.self });
  }

  send(stream: LocalStream, bytes: Uint8Array, nowMs: number): void {
    if (stream instanceof ConduitHandle) return this.conduits.send(stream, bytes, nowMs);
    if (stream.stream === undefined || stream.tunnel === undefined) return;
    stream.tunnel.mux.send(stream.stream, bytes, nowMs);
    this.#ports.touch(stream.tunnel);
  }

  /** Asks for one `writable` output once fewer than `belowBytes` are queued. */
  awaitWritable(stream: LocalStream, belowBytes: number): void {
    if (stream instanceof ConduitHandle) this.conduits.awaitWritable(stream, belowBytes);
    else if (stream.stream !== undefined) stream.stream.wakeBelowBytes = belowBytes;
  }

  consume(stream: LocalStream, bytes: number, nowMs: number): void {
    if (stream instanceof ConduitHandle) return this.conduits.consume(stream, bytes, nowMs);
    if (stream.stream === undefined || stream.tunnel === undefined) return;
    stream.tunnel.mux.consume(stream.stream, bytes, nowMs);
    this.#ports.touch(stream.tunnel);
  }

  /** Ends this side's direction after what is queued. */
  finish(stream: LocalStream, nowMs: number): void {
    if (stream instanceof ConduitHandle) return this.conduits.finish(stream, nowMs);
    if (stream.stream === undefined || stream.tunnel === undefined) return;
    stream.tunnel.mux.finish(stream.stream, nowMs);
    this.#ports.touch(stream.tunnel);
  }

  /** Ends a stream at once, without an output for it. */
  reset(stream: LocalStream, reason: Reason): void {
    if (stream.state === 'closed') return;
    if (stream instanceof ConduitHandle) return this.conduits.reset(stream, reason);
    if (stream.stream !== undefined && stream.tunnel !== undefined) {
      stream.tunnel.mux.reset(stream.stream, reason);
      this.#ports.touch(stream.tunnel);
    }
    this.#forget(stream, reason);
  }

  /** Ends a stream at once; whoever works on it is told. */
  abandon(stream: LocalStream, reason: Reason): void {
    // A circuit that is not open yet is nobody's but its builder's.
    const isWorkedOn = stream.state === 'open' || (stream.state === 'opening' && stream instanceof ConduitHandle);
    this.reset(stream, reason);
    if (isWorkedOn) this.#ports.emit({ kind: 'reset', stream, reason });
  }

  handleAccepted(local: LocalStream, stream: Stream, body: Uint8Array): void {
    if (local instanceof ConduitHandle) return this.conduits.handleAccepted(local, stream, body);
    local.state = 'open';
    this.#ports.endToEnd.handleCircuitAccepted(local);
  }

  handleData(local: LocalStream, tunnel: Tunnel, stream: Stream, bytes: Uint8Array): void {
    if (local instanceof ConduitHandle) this.conduits.handleData(local, tunnel, stream, bytes);
    else this.#ports.emit({ kind: 'data', stream: local, bytes });
  }

  handleFin(local: LocalStream, tunnel: Tunnel, stream: Stream): void {
    if (local instanceof ConduitHandle) this.conduits.handleFin(local, tunnel, stream);
    else this.#ports.emit({ kind: 'end', stream: local });
  }

  handleAck(local: LocalStream, tunnel: Tunnel, stream: Stream, ack: Ack): void {
    if (local instanceof ConduitHandle) this.conduits.handleAck(local, tunnel, stream, ack);
    else this.#ports.fail(tunnel, 'ACK_UNEXPECTED');
  }

  handleDraining(local: LocalStream): void {
    if (local instanceof ConduitHandle || local.direction === 'in') return;
    this.#ports.endToEnd.handleCircuitDraining(local, this.#ports.nowMs());
  }

  handleWritable(local: LocalStream, stream: Stream): void {
    if (stream !== local.stream) return;
    if (local instanceof ConduitHandle) local.wakeBelowBytes = 0;
    this.#ports.emit({ kind: 'writable', stream: local });
  }

  /** Refused, reset, or (`isLost`) gone with its tunnel. */
  handleEnded(local: LocalStream, stream: Stream, reason: Reason, isLost: boolean): void {
    if (local instanceof ConduitHandle) return this.conduits.handleEnded(local, stream, reason, isLost);
    if (local.state === 'closed') return;
    const wasOpen = local.state === 'open';
    this.#forget(local, reason);
    this.#ports.endToEnd.handleCircuitEnded(local, reason, this.#ports.nowMs());
    if (wasOpen || local.direction === 'in') this.#ports.emit({ kind: 'reset', stream: local, reason });
  }

  /** Both directions of a circuit ended in good order. */
  handleFinished(stream: LocalStream): void {
    this.#forget(stream, undefined);
  }

  #createConduit(direction: 'out' | 'in', service: string, conduit: Conduit): ConduitHandle {
    const stream = new ConduitHandle(this.#nextId++, direction, service, this.#ports.wallMs(), conduit);
    this.#streams.set(stream.id, stream);
    return stream;
  }

  #forget(stream: LocalStream, reason: Reason | undefined): void {
    stream.state = 'closed';
    stream.endReason = reason;
    this.#streams.delete(stream.id);
    if (!(stream instanceof ConduitHandle)) return;
    stream.endedWallMs = this.#ports.wallMs();
    if (this.#ended.length >= MAX_REMEMBERED) this.#ended.shift();
    this.#ended.push(stream);
  }
}
