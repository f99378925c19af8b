import type { Counters } from '#kernel/counters.ts';
import { MAX_GOSSIP_BYTES } from '#mesh/gossip/gossip-message.ts';
import { StreamKind } from '#mesh/mux/frame.ts';
import { delimitMessage, MessageReader } from '#mesh/node/message-reader.ts';
import type { GossipOwner, Stream, Tunnel } from '#mesh/node/tunnel.ts';

/** A neighbour that does not read is told no more: it asks again, or another. */
const HIGH_WATER_BYTES = 262_144;

export interface GossipStreamsPorts {
  readonly counters: Counters;
  touch(tunnel: Tunnel): void;
  /** False for what is malformed. */
  handleMessage(peer: string, message: Uint8Array): boolean;
}

/** Gossip about snapshots: on each link a stream for each direction, opened by who has something to say. */
export class GossipStreams {
  readonly #ports: GossipStreamsPorts;
  /** `refused`: by a neighbour of an earlier version. */
  readonly #opened = new Map<Tunnel, Stream | 'refused'>();
  readonly #accepted = new Map<Tunnel, Stream>();

  constructor(ports: GossipStreamsPorts) {
    this.#ports = ports;
  }

  /** Streams of a tunnel that are for gossip. */
  count(tunnel: Tunnel): number {
    return (this.#accepted.has(tunnel) ? 1 : 0) + (typeof this.#opened.get(tunnel) === 'object' ? 1 : 0);
  }

  send(tunnel: Tunnel, message: Uint8Array, nowMs: number): void {
    const stream = this.#opened.get(tunnel) ?? this.#open(tunnel);
    if (stream === 'refused') return;
    if (stream.queue.bytes >= HIGH_WATER_BYTES) return this.#ports.counters.add('gossip-dropped');
    tunnel.mux.send(stream, delimitMessage(message), nowMs);
    this.#ports.touch(tunnel);
  }

  /** False when the neighbour has one already. */
  accept(tunnel: Tunnel, stream: Stream): boolean {
    if (this.#accepted.has(tunnel)) return false;
    stream.owner = newOwner();
    this.#accepted.set(tunnel, stream);
    tunnel.mux.accept(stream);
    this.#ports.touch(tunnel);
    return true;
  }

  handleBytes(tunnel: Tunnel, stream: Stream, owner: GossipOwner, bytes: Uint8Array): void {
    let isReadable = true;
    const isBounded = owner.reader.handleBytes(bytes, (message) => {
      isReadable &&= this.#ports.handleMessage(tunnel.peer.name, message);
    });
    if (isBounded && isReadable) return;
    this.#ports.counters.add('gossip-malformed');
    tunnel.mux.reset(stream, { code: 'GOSSIP_MALFORMED' });
    this.handleEnded(tunnel, stream);
    this.#ports.touch(tunnel);
  }

  handleEnded(tunnel: Tunnel, stream: Stream): void {
    if (this.#accepted.get(tunnel) === stream) this.#accepted.delete(tunnel);
    if (this.#opened.get(tunnel) === stream) this.#opened.set(tunnel, 'refused');
  }

  /** The link drains or is gone. */
  close(tunnel: Tunnel): void {
    for (const stream of [this.#opened.get(tunnel), this.#accepted.get(tunnel)])
      if (typeof stream === 'object') tunnel.mux.reset(stream, { code: 'TUNNEL_DRAINING' });
    this.forget(tunnel);
    this.#ports.touch(tunnel);
  }

  forget(tunnel: Tunnel): void {
    this.#opened.delete(tunnel);
    this.#accepted.delete(tunnel);
  }

  #open(tunnel: Tunnel): Stream | 'refused' {
    const opened = tunnel.mux.open(StreamKind.snapshot, new Uint8Array(), newOwner(), 'local');
    const stream = opened.ok ? opened.value : 'refused';
    this.#opened.set(tunnel, stream);
    return stream;
  }
}

function newOwner(): GossipOwner {
  return { kind: 'gossip', reader: new MessageReader(MAX_GOSSIP_BYTES) };
}
