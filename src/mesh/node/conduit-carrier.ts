import type { Counters } from '#kernel/counters.ts';
import { countableCode } from '#kernel/error-codes.ts';
import { Retention } from '#mesh/conduit/retention.ts';
import type { Reason } from '#mesh/mux/frame.ts';
import type { ConduitHandle } from '#mesh/node/conduit-handle.ts';
import type { Stream, Tunnel } from '#mesh/node/tunnel.ts';

export interface ConduitCarrierPorts {
  readonly self: string;
  readonly counters: Counters;
  nowMs(): number;
  touch(tunnel: Tunnel): void;
}

/** What happens between a conduit and the stream of a tunnel that carries it, at either end. */
export class ConduitCarrier {
  readonly #ports: ConduitCarrierPorts;
  /** By peer: what is kept for it until it acknowledges. */
  readonly #retentions = new Map<string, Retention>();
  readonly #all = { bytes: 0 };

  constructor(ports: ConduitCarrierPorts) {
    this.#ports = ports;
  }

  /** From now on this stream carries the conduit. */
  bind(local: ConduitHandle, tunnel: Tunnel, stream: Stream): void {
    const peer = tunnel.peer.name;
    local.attach(tunnel, stream, peer, tunnel.hops);
    local.peerIdentity = tunnel.peer;
    stream.owner = local;
    stream.lingers = true;
    stream.queue = local.conduit.queue;
    local.conduit.queue.chargeTo(this.#retentionOf(peer));
  }

  /** The conduit is over: nothing is kept for its peer. */
  release(local: ConduitHandle): void {
    local.conduit.queue.chargeTo(new Retention());
    if (this.#retentions.get(local.peer)?.users === 0) this.#retentions.delete(local.peer);
  }

  #retentionOf(peer: string): Retention {
    const known = this.#retentions.get(peer) ?? new Retention(this.#all);
    this.#retentions.set(peer, known);
    return known;
  }

  /** Sends what was queued before this stream was there. */
  goOn(local: ConduitHandle, tunnel: Tunnel, stream: Stream): void {
    stream.wakeBelowBytes = local.wakeBelowBytes;
    if (local.conduit.owesFin) tunnel.mux.finish(stream, this.#ports.nowMs());
    this.resume(local, this.#ports.nowMs());
  }

  resume({ tunnel, stream }: ConduitHandle, nowMs: number): void {
    if (tunnel === undefined || stream === undefined) return;
    tunnel.mux.resume(stream, nowMs);
    this.#ports.touch(tunnel);
  }

  acknowledge(local: ConduitHandle, tunnel: Tunnel, stream: Stream): void {
    tunnel.mux.acknowledge(stream, local.conduit.acknowledgement(local.direction === 'out'));
    this.#ports.touch(tunnel);
  }

  /** Gives up the present stream, whose tunnel may live on. */
  leave(local: ConduitHandle): void {
    const { tunnel, stream } = local;
    local.detach(this.#ports.nowMs());
    if (tunnel === undefined || stream === undefined) return;
    stream.owner = undefined;
    tunnel.mux.reset(stream, { code: 'CONDUIT_MOVED' });
    local.conduit.queue.clear();
    this.#ports.touch(tunnel);
  }

  refuse(tunnel: Tunnel, stream: Stream, code: string, why: Reason = { code }): void {
    this.#ports.counters.add(`stream-refused-${countableCode(code)}`);
    tunnel.mux.refuse(stream, { ...why, hop: this.#ports.self });
    this.#ports.touch(tunnel);
  }
}
