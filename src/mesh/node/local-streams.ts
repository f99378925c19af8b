import type { Counters } from '#kernel/counters.ts';
import { type Reason, StreamKind } from '#mesh/mux/frame.ts';
import type { EndToEnd } from '#mesh/node/end-to-end.ts';
import type { NodeOutput } from '#mesh/node/output.ts';
import { decodeStreamOpen, encodeStreamOpen, type ServiceDirectory } from '#mesh/node/services.ts';
import { LocalStream, type Stream, type Tunnel } from '#mesh/node/tunnel.ts';

export interface LocalStreamsPorts {
  readonly self: string;
  readonly counters: Counters;
  readonly directory: ServiceDirectory;
  readonly endToEnd: EndToEnd;
  /** Cost of the path to another node; undefined when there is none. */
  cost(node: string): number | undefined;
  nowMs(): number;
  wallMs(): number;
  emit(output: NodeOutput): void;
  touch(tunnel: Tunnel): void;
}

/** Reasons for which another instance of the service is tried. */
const RETRYABLE = new Set([
  'LINK_LOST',
  'NO_PATH',
  'PATH_LOST',
  'SERVICE_NOT_HERE',
  'TARGET_UNREACHABLE',
  'TUNNEL_DRAINING',
  'TUNNEL_TIMEOUT',
]);

/**
 * The streams that begin or end at this node. One that is opened tries the instances of its service, nearest first; one that
 * arrives waits for the driver to connect its target. Either lives until both directions ended, a side reset it, or its tunnel
 * ended.
 */
export class LocalStreams {
  readonly #ports: LocalStreamsPorts;
  readonly #streams = new Map<number, LocalStream>();
  readonly #candidates = new Map<number, string[]>();
  #nextId = 1;

  constructor(ports: LocalStreamsPorts) {
    this.#ports = ports;
  }

  /** Open streams of services, for status. */
  list(): readonly LocalStream[] {
    return [...this.#streams.values()].filter((stream) => stream.purpose === 'service');
  }

  create(purpose: 'circuit' | 'service', direction: 'out' | 'in', service: string): LocalStream {
    const stream = new LocalStream(this.#nextId++, purpose, direction, service, this.#ports.wallMs());
    this.#streams.set(stream.id, stream);
    return stream;
  }

  /** Nodes that publish a service and can be reached, nearest first; this node first if it is one. */
  instances(service: string): readonly string[] {
    const { self, directory } = this.#ports;
    return directory.nearest(service, (node) => (node === self ? 0 : this.#ports.cost(node)));
  }

  /** Opens a stream to the nearest instance on another node; the answer is an `accepted` or `refused` output. */
  open(service: string, nowMs: number): LocalStream {
    const stream = this.create('service', 'out', service);
    const others = this.instances(service).filter((node) => node !== this.#ports.self);
    this.#candidates.set(stream.id, others);
    this.#tryInstance(stream, { code: this.#ports.directory.has(service) ? 'NO_PATH' : 'SERVICE_UNKNOWN' }, nowMs);
    return stream;
  }

  /** Answers an `incoming` output: the target is connected. */
  accept(stream: LocalStream): void {
    if (stream.state !== 'opening' || stream.stream === undefined || stream.tunnel === undefined) return;
    stream.state = 'open';
    stream.tunnel.mux.accept(stream.stream);
    this.#ports.touch(stream.tunnel);
  }

  /** Answers an `incoming` output: there is no target to talk to. */
  refuse(stream: LocalStream, reason: Reason): void {
    this.#ports.counters.add(`stream-refused-${reason.code}`);
    this.reset(stream, { ...reason, hop: this.#ports.self });
  }

  send(stream: LocalStream, bytes: Uint8Array, nowMs: number): void {
    if (stream.stream === undefined || stream.tunnel === undefined) return;
    stream.tunnel.mux.send(stream.stream, bytes, nowMs);
    this.#ports.touch(stream.tunnel);
  }

  /** Asks for one `writable` output once fewer than `belowBytes` are queued. */
  awaitWritable(stream: LocalStream, belowBytes: number): void {
    if (stream.stream !== undefined) stream.stream.wakeBelowBytes = belowBytes;
  }

  consume(stream: LocalStream, bytes: number, nowMs: number): void {
    if (stream.stream === undefined || stream.tunnel === undefined) return;
    stream.tunnel.mux.consume(stream.stream, bytes, nowMs);
    this.#ports.touch(stream.tunnel);
  }

  /** Ends this side's direction after what is queued. */
  finish(stream: LocalStream, nowMs: number): void {
    if (stream.stream === undefined || stream.tunnel === undefined) return;
    stream.tunnel.mux.finish(stream.stream, nowMs);
    this.#ports.touch(stream.tunnel);
  }

  /** Ends a stream at once, without an output for it. */
  reset(stream: LocalStream, reason: Reason): void {
    if (stream.state === 'closed') return;
    if (stream.stream !== undefined && stream.tunnel !== undefined) {
      stream.tunnel.mux.reset(stream.stream, reason);
      this.#ports.touch(stream.tunnel);
    }
    this.#forget(stream, reason);
  }

  /** Ends a stream at once; whoever works on it is told. */
  abandon(stream: LocalStream, reason: Reason): void {
    const wasOpen = stream.state === 'open';
    this.reset(stream, reason);
    if (wasOpen) this.#ports.emit({ kind: 'reset', stream, reason });
  }

  /** A peer opens a service stream over a tunnel to this node. */
  handleOpened(tunnel: Tunnel, stream: Stream, body: Uint8Array): void {
    const service = decodeStreamOpen(body);
    const local = this.create('service', 'in', service ?? '');
    local.attach(tunnel, stream, tunnel.peer.name, tunnel.hops);
    stream.owner = local;
    if (service === undefined) return this.refuse(local, { code: 'OPEN_MALFORMED' });
    const instance = this.#ports.directory.instanceOn(service, this.#ports.self);
    if (instance === undefined) return this.refuse(local, { code: 'SERVICE_NOT_HERE' });
    this.#ports.emit({ kind: 'incoming', stream: local, caller: tunnel.peer, instance });
  }

  handleAccepted(stream: LocalStream): void {
    stream.state = 'open';
    if (stream.purpose === 'circuit') this.#ports.endToEnd.handleCircuitAccepted(stream);
    else this.#ports.emit({ kind: 'accepted', stream });
  }

  handleEnded(stream: LocalStream, reason: Reason): void {
    if (stream.state === 'closed') return;
    const wasOpen = stream.state === 'open';
    const mayRetry = !wasOpen && stream.direction === 'out' && stream.purpose === 'service';
    if (mayRetry && RETRYABLE.has(reason.code)) return this.#tryInstance(stream, reason);
    this.#forget(stream, reason);
    if (stream.purpose === 'circuit') this.#ports.endToEnd.handleCircuitEnded(stream, reason);
    if (wasOpen || stream.direction === 'in') this.#ports.emit({ kind: 'reset', stream, reason });
    else if (stream.purpose === 'service') this.#ports.emit({ kind: 'refused', stream, reason });
  }

  handleFinished(stream: LocalStream): void {
    this.#forget(stream, undefined);
  }

  #tryInstance(stream: LocalStream, reason: Reason, nowMs = this.#ports.nowMs()): void {
    const node = this.#candidates.get(stream.id)?.shift();
    if (node === undefined) {
      this.#forget(stream, reason);
      this.#ports.emit({ kind: 'refused', stream, reason });
      return;
    }
    this.#ports.endToEnd.acquire(node, (tunnel, why) => this.#openOn(stream, node, tunnel, why), nowMs);
  }

  #openOn(stream: LocalStream, node: string, tunnel: Tunnel | undefined, why: Reason): void {
    if (stream.state === 'closed') return;
    if (tunnel === undefined) return this.#tryInstance(stream, why);
    const opened = tunnel.mux.open(StreamKind.stream, encodeStreamOpen(stream.service), stream, 'local');
    if (!opened.ok) return this.#tryInstance(stream, { code: opened.error });
    stream.attach(tunnel, opened.value, node, tunnel.hops);
    this.#ports.touch(tunnel);
  }

  #forget(stream: LocalStream, reason: Reason | undefined): void {
    stream.state = 'closed';
    stream.endReason = reason;
    this.#streams.delete(stream.id);
    this.#candidates.delete(stream.id);
  }
}
