import type { Ack, Reason } from '#mesh/mux/frame.ts';
import type { LocalStreams } from '#mesh/node/local-streams.ts';
import type { Neighbours } from '#mesh/node/neighbours.ts';
import type { Relay } from '#mesh/node/relay.ts';
import type { Stream, Tunnel } from '#mesh/node/tunnel.ts';

export interface StreamRouterPorts {
  readonly relay: Relay;
  readonly streams: LocalStreams;
  readonly neighbours: Neighbours;
  nowMs(): number;
  wallMs(): number;
  /** The peer of a tunnel broke the protocol. */
  fail(tunnel: Tunnel, code: string): void;
  /** Link state may have something to say. */
  settle(): void;
}

/** Takes what happens on a tunnel's streams to whoever each of them is for: the relay, local streams, or link state. */
export class StreamRouter {
  readonly #ports: StreamRouterPorts;

  constructor(ports: StreamRouterPorts) {
    this.#ports = ports;
  }

  handleData(tunnel: Tunnel, stream: Stream, bytes: Uint8Array): void {
    const { relay, streams, neighbours } = this.#ports;
    const { owner } = stream;
    const nowMs = this.#ports.nowMs();
    if (owner?.kind === 'relay') return relay.handleData(tunnel, stream, owner, bytes, nowMs);
    if (owner?.kind === 'local') return streams.handleData(owner, tunnel, stream, bytes);
    if (owner === undefined) return;
    if (owner.kind === 'gossip') {
      neighbours.handleGossipBytes(tunnel, stream, owner, bytes);
      tunnel.mux.consume(stream, bytes.byteLength, nowMs);
      return this.#ports.settle();
    }
    const isReadable = neighbours.handleBytes(tunnel, owner, bytes, nowMs, this.#ports.wallMs());
    tunnel.mux.consume(stream, bytes.byteLength, nowMs);
    if (!isReadable) this.#ports.fail(tunnel, 'LINKSTATE_TOO_BIG');
    this.#ports.settle();
  }

  handleAccepted(tunnel: Tunnel, stream: Stream, body: Uint8Array): void {
    const { owner } = stream;
    if (owner?.kind === 'relay') this.#ports.relay.handleAccepted(tunnel, owner);
    else if (owner?.kind === 'local') this.#ports.streams.handleAccepted(owner, stream, body);
  }

  /** Refused, reset, or (`isLost`) gone with its tunnel. */
  handleEnded(tunnel: Tunnel, stream: Stream, reason: Reason, isLost: boolean): void {
    const { owner } = stream;
    if (owner?.kind === 'relay') this.#ports.relay.handleEnded(owner, reason);
    else if (owner?.kind === 'local') this.#ports.streams.handleEnded(owner, stream, reason, isLost);
    else if (owner?.kind === 'gossip') this.#ports.neighbours.handleGossipEnded(tunnel, stream);
    // A link without link state is none.
    else if (owner?.kind === 'linkstate' && tunnel.state === 'up') this.#ports.fail(tunnel, 'LINK_LOST');
  }

  handleFin(tunnel: Tunnel, stream: Stream): void {
    const { owner } = stream;
    if (owner?.kind === 'relay') this.#ports.relay.handleFin(owner, this.#ports.nowMs());
    else if (owner?.kind === 'local') this.#ports.streams.handleFin(owner, tunnel, stream);
  }

  handleAck(tunnel: Tunnel, stream: Stream, ack: Ack): void {
    const { owner } = stream;
    if (owner?.kind === 'local') this.#ports.streams.handleAck(owner, tunnel, stream, ack);
  }

  /** A circuit's opener is to leave it: its link drains, or one further on. */
  handleDraining({ owner }: Stream, reason: Reason): void {
    if (owner?.kind === 'relay') this.#ports.relay.handleDraining(owner, reason);
    else if (owner?.kind === 'local') this.#ports.streams.handleDraining(owner);
  }

  handleWritable(tunnel: Tunnel, stream: Stream): void {
    const { owner } = stream;
    if (owner?.kind === 'relay') return this.#ports.relay.handleWritable(owner, this.#ports.nowMs());
    if (owner?.kind === 'local') return this.#ports.streams.handleWritable(owner, stream);
    if (owner?.kind !== 'linkstate') return;
    this.#ports.neighbours.linkState.handleWritable(tunnel.peer.name, true);
    this.#ports.settle();
  }

  handleFinished({ owner }: Stream): void {
    if (owner?.kind === 'relay') this.#ports.relay.handleFinished(owner);
    else if (owner?.kind === 'local') this.#ports.streams.handleFinished(owner);
  }
}
