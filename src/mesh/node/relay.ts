import type { Counters } from '#kernel/counters.ts';
import { countableCode } from '#kernel/error-codes.ts';
import { decideCircuit, decodeCircuitOpen, encodeCircuitOpen } from '#mesh/circuit/circuit-open.ts';
import { type Reason, StreamKind } from '#mesh/mux/frame.ts';
import type { RelayedCircuit, RelayOwner, Stream, Tunnel } from '#mesh/node/tunnel.ts';

export interface RelayPorts {
  readonly self: string;
  readonly counters: Counters;
  /** Streams that one link carries at most. */
  readonly maxStreams: number;
  isRelay(): boolean;
  /** The link to a neighbour that is up and not draining. */
  link(peer: string): Tunnel | undefined;
  linkCount(): number;
  /** The tunnel has something new to send, or events to read. */
  touch(tunnel: Tunnel): void;
  /** A circuit that ends here. */
  handleCircuitEnd(tunnel: Tunnel, stream: Stream): void;
}

/** Beyond this share of the inbound window, waiting on the outbound side, the sender gets no new credit. */
const HELD_SHARE = 4;
const LEAST_HELD_BYTES = 16_384;

/**
 * Forwards circuits. An OPEN is judged whole, opened on the next link, and accepted only when the next hop accepted; then
 * bytes pass uncopied from one half to the other, and credit comes back only as the other half gets rid of them.
 */
export class Relay {
  readonly #ports: RelayPorts;
  readonly #pairs = new Map<string, number>();

  constructor(ports: RelayPorts) {
    this.#ports = ports;
  }

  get circuitCount(): number {
    let count = 0;
    for (const circuits of this.#pairs.values()) count += circuits;
    return count;
  }

  handleOpen(tunnel: Tunnel, stream: Stream, body: Uint8Array): void {
    const hops = decodeCircuitOpen(body);
    if (!hops.ok) return this.#refuse(tunnel, stream, { code: hops.error });
    const from = tunnel.peer.name;
    const next = decideCircuit(hops.value, {
      self: this.#ports.self,
      from,
      isRelay: this.#ports.isRelay(),
      hasLink: (peer) => this.#ports.link(peer) !== undefined,
      hasRoom: (inbound, outbound) => this.#hasRoom(`${inbound}>${outbound}`),
    });
    if (!next.ok) return this.#refuse(tunnel, stream, { code: next.error });
    if (next.value === undefined) return this.#ports.handleCircuitEnd(tunnel, stream);
    this.#forward(tunnel, stream, next.value, hops.value.slice(1));
  }

  handleAccepted(tunnel: Tunnel, owner: RelayOwner): void {
    owner.mateTunnel.mux.accept(owner.mate);
    this.#ports.touch(owner.mateTunnel);
    // Its link was asked to drain while the circuit was on its way.
    if (tunnel.state === 'draining') this.handleDraining(owner, { code: 'LINK_REPLACED' });
  }

  /** The half that leads away from the opener is to be left: the opener is told. */
  handleDraining(owner: RelayOwner, reason: Reason): void {
    const { circuit, mate } = owner;
    if (!owner.isOutbound || circuit.isLeaving || mate.state !== 'open') return;
    circuit.isLeaving = true;
    owner.mateTunnel.mux.drain(owner.mate, { hop: this.#ports.self, ...reason });
    this.#ports.touch(owner.mateTunnel);
  }

  handleData(tunnel: Tunnel, stream: Stream, owner: RelayOwner, bytes: Uint8Array, nowMs: number): void {
    const { mate, mateTunnel } = owner;
    mateTunnel.mux.send(mate, bytes, nowMs);
    this.#ports.touch(mateTunnel);
    const limitBytes = Math.max(LEAST_HELD_BYTES, stream.window.sizeBytes / HELD_SHARE);
    if (mate.queue.bytes <= limitBytes) return tunnel.mux.consume(stream, bytes.byteLength, nowMs);
    owner.heldBytes += bytes.byteLength;
    mate.wakeBelowBytes = limitBytes;
  }

  /** `owner` belongs to the half whose queue drained: its mate's sender may go on. */
  handleWritable(owner: RelayOwner, nowMs: number): void {
    const inbound = owner.mate.owner;
    if (inbound?.kind !== 'relay' || inbound.heldBytes === 0) return;
    owner.mateTunnel.mux.consume(owner.mate, inbound.heldBytes, nowMs);
    inbound.heldBytes = 0;
    this.#ports.touch(owner.mateTunnel);
  }

  handleFin(owner: RelayOwner, nowMs: number): void {
    owner.mateTunnel.mux.finish(owner.mate, nowMs);
    this.#ports.touch(owner.mateTunnel);
  }

  /** One half was refused, reset or lost: the other ends too. */
  handleEnded(owner: RelayOwner, reason: Reason): void {
    this.#ports.counters.add(`circuit-ended-${countableCode(reason.code)}`);
    const { owner: other } = owner.mate;
    const hop = reason.hop ?? (other?.kind === 'relay' ? other.mateTunnel.peer.name : this.#ports.self);
    owner.mateTunnel.mux.reset(owner.mate, { ...reason, hop });
    this.#ports.touch(owner.mateTunnel);
    this.#release(owner.circuit);
  }

  /** A half has finished in good order. */
  handleFinished(owner: RelayOwner): void {
    if (owner.mate.state === 'closed') this.#release(owner.circuit);
  }

  #forward(tunnel: Tunnel, stream: Stream, next: string, remaining: readonly string[]): void {
    const link = this.#ports.link(next);
    if (link === undefined) return this.#refuse(tunnel, stream, { code: 'CIRCUIT_NO_LINK' });
    const pair = `${tunnel.peer.name}>${next}`;
    const circuit: RelayedCircuit = { pair, isReleased: false, isLeaving: false };
    const owner: RelayOwner = {
      kind: 'relay',
      mate: stream,
      mateTunnel: tunnel,
      circuit,
      isOutbound: true,
      heldBytes: 0,
    };
    const opened = link.mux.open(StreamKind.circuit, encodeCircuitOpen(remaining), owner, tunnel.peer.name);
    if (!opened.ok) return this.#refuse(tunnel, stream, { code: opened.error });
    stream.owner = { kind: 'relay', mate: opened.value, mateTunnel: link, circuit, isOutbound: false, heldBytes: 0 };
    stream.group = next;
    this.#pairs.set(pair, (this.#pairs.get(pair) ?? 0) + 1);
    this.#ports.counters.add('circuit-forwarded');
    this.#ports.touch(link);
  }

  #refuse(tunnel: Tunnel, stream: Stream, reason: Reason): void {
    this.#ports.counters.add(`circuit-refused-${reason.code}`);
    tunnel.mux.refuse(stream, { ...reason, hop: this.#ports.self });
    this.#ports.touch(tunnel);
  }

  /** A link's streams are divided fairly among the neighbours whose circuits use it. */
  #hasRoom(pair: string): boolean {
    const inboundNeighbours = Math.max(1, this.#ports.linkCount() - 1);
    const share = Math.max(1, Math.floor(this.#ports.maxStreams / inboundNeighbours));
    return (this.#pairs.get(pair) ?? 0) < share;
  }

  #release(circuit: RelayedCircuit): void {
    if (circuit.isReleased) return;
    circuit.isReleased = true;
    const { pair } = circuit;
    const count = (this.#pairs.get(pair) ?? 1) - 1;
    if (count > 0) this.#pairs.set(pair, count);
    else this.#pairs.delete(pair);
  }
}
