import type { Tunnel } from '#mesh/node/tunnel.ts';
import { connectTransport, type TransportEnd } from '../network/transport.ts';
import { CALIBRATED_COST } from './cost.ts';
import type { NodeProcess } from './node-process.ts';

/** As the real dialler. */
const CONNECT_TIMEOUT_MS = 5_000;
const HANDSHAKE_TIMEOUT_MS = 5_000;
/** Bytes given to a transport at once. */
const GROUP_BYTES = 65_536;

/** Changes what a node gets to see of a link: for relays that lie. */
export interface Tamper {
  /** Chunks to hand to the node in place of `chunk`; none: it waits, or is gone. */
  handleBytes(tunnel: Tunnel, chunk: Uint8Array): readonly Uint8Array[];
}

/** The transports of a process: its links to neighbours, and the dials under way. */
export class Links {
  readonly #process: NodeProcess;
  readonly #ends = new Map<Tunnel, TransportEnd>();
  readonly #dials = new Map<string, { isCancelled: boolean }>();
  tamper: Tamper | undefined;

  constructor(process: NodeProcess) {
    this.#process = process;
  }

  tunnels(): IterableIterator<Tunnel> {
    return this.#ends.keys();
  }

  endOf(tunnel: Tunnel): TransportEnd | undefined {
    return this.#ends.get(tunnel);
  }

  dial(peer: string, address: string): void {
    const { machine } = this.#process;
    const { timeline, network } = machine.world;
    const dial = { isCancelled: false };
    const earlier = this.#dials.get(peer);
    if (earlier !== undefined) earlier.isCancelled = true;
    this.#dials.set(peer, dial);
    machine.world.trace.note('dial', machine.name, peer);
    const target = machine.world.machineAt(address);
    const roundTripMs = network.direction(machine.name, peer).delayMs + network.direction(peer, machine.name).delayMs;
    const fail = (afterMs: number): void => timeline.after(afterMs, () => this.#handleDialFailed(peer, dial));
    if (target === undefined) return fail(1);
    if (!target.isOn || !network.isOpen(machine.name, target.name)) return fail(CONNECT_TIMEOUT_MS);
    timeline.after(roundTripMs, () => {
      const other = target.process;
      if (!target.isOn || !network.isOpen(machine.name, target.name)) return fail(CONNECT_TIMEOUT_MS);
      if (other === undefined || other.isDead) return fail(0);
      let isAnswered = false;
      timeline.after(HANDSHAKE_TIMEOUT_MS, () => (isAnswered ? undefined : this.#handleDialFailed(peer, dial)));
      other.enqueue(CALIBRATED_COST.handshakeMs, () => {
        isAnswered = true;
        this.#handleAnswered(peer, dial, other, roundTripMs);
      });
    });
  }

  cancelDial(peer: string): void {
    const dial = this.#dials.get(peer);
    if (dial !== undefined) dial.isCancelled = true;
  }

  /** What the tunnel wants to send goes out as far as the transport takes it. */
  flush(tunnel: Tunnel): void {
    const end = this.#ends.get(tunnel);
    if (end === undefined) return;
    while (end.roomBytes > 0) {
      const group = this.#gather(tunnel);
      if (group === undefined) return;
      end.write(group);
    }
  }

  /** The node is done with a tunnel: what is queued goes out, then the transport ends. */
  close(tunnel: Tunnel): void {
    this.flush(tunnel);
    const end = this.#ends.get(tunnel);
    this.#ends.delete(tunnel);
    if (tunnel.state === 'greeting') end?.finish();
    else end?.reset();
  }

  /** Every link to a peer was found dead, or was cut on its way. */
  lose(peer: string, code: string): void {
    const { node } = this.#process;
    for (const [tunnel, end] of this.#ends) {
      if (tunnel.peer.name !== peer) continue;
      this.#ends.delete(tunnel);
      end.reset();
      this.#process.machine.world.trace.note('link-lost', this.#process.name, peer, code);
      this.#process.enqueue(CALIBRATED_COST.eventMs, () =>
        node.handleTunnelClosed(tunnel, { code }, this.#process.nowMs),
      );
    }
  }

  /** The process is killed: its kernel ends the transports. Or the machine lost power: nobody does. */
  endAll(hasPower: boolean): readonly TransportEnd[] {
    const ends = [...this.#ends.values()];
    for (const end of ends) {
      if (hasPower) end.reset();
      else end.vanish();
    }
    this.#ends.clear();
    return ends;
  }

  #gather(tunnel: Tunnel): Uint8Array | undefined {
    const { node, nowMs } = this.#process;
    const pieces: Uint8Array[] = [];
    let length = 0;
    while (length < GROUP_BYTES || tunnel.mux.isMidFrame) {
      const piece = node.pollTransmit(tunnel, nowMs);
      if (piece === undefined) break;
      // The node uses the buffers of headers again.
      pieces.push(piece.byteLength < 64 ? piece.slice() : piece);
      length += piece.byteLength;
    }
    if (length === 0) return undefined;
    const group = new Uint8Array(length);
    let offset = 0;
    for (const piece of pieces) {
      group.set(piece, offset);
      offset += piece.byteLength;
    }
    return group;
  }

  #handleDialFailed(peer: string, dial: { isCancelled: boolean }): void {
    if (this.#dials.get(peer) === dial) this.#dials.delete(peer);
    if (dial.isCancelled) return;
    dial.isCancelled = true;
    const { node } = this.#process;
    this.#process.enqueue(CALIBRATED_COST.eventMs, () => node.handleDialFailed(peer, this.#process.nowMs));
  }

  /** The acceptor has done its part of the handshake; the dialler does its own and both have a tunnel. */
  #handleAnswered(peer: string, dial: { isCancelled: boolean }, other: NodeProcess, roundTripMs: number): void {
    const { machine } = this.#process;
    const { world } = machine;
    const isOpen = world.network.isOpen(machine.name, other.name);
    if (dial.isCancelled || this.#process.isDead || !isOpen) {
      if (!isOpen) world.timeline.after(HANDSHAKE_TIMEOUT_MS, () => this.#handleDialFailed(peer, dial));
      return;
    }
    const [near, far] = connectTransport([machine.name, other.name], world.network, world.timeline, world.random);
    other.links.#attach(far, machine.name, 'acceptor');
    other.touch();
    world.timeline.after(roundTripMs / 2, () => {
      this.#process.enqueue(CALIBRATED_COST.handshakeMs, () => {
        if (this.#dials.get(peer) === dial) this.#dials.delete(peer);
        if (dial.isCancelled || near.isClosed) {
          near.finish();
          if (!dial.isCancelled) this.#process.node.handleDialFailed(peer, this.#process.nowMs);
          dial.isCancelled = true;
          return;
        }
        // Answered: a time-out that is still to come means nothing.
        dial.isCancelled = true;
        this.#attach(near, peer, 'dialer');
      });
    });
    if (this.#process.isDead) far.reset();
  }

  #attach(end: TransportEnd, peer: string, role: 'dialer' | 'acceptor'): void {
    const { world } = this.#process.machine;
    const { node } = this.#process;
    const tunnel = node.handleTunnelOpened(
      { via: 'tcp', role, peer: world.identityOf(peer), hops: [peer], group: 'X25519MLKEM768' },
      this.#process.nowMs,
    );
    this.#ends.set(tunnel, end);
    world.trace.note('link-opened', this.#process.name, peer);
    end.user = {
      handleBytes: (bytes) => this.#handleBytes(tunnel, end, bytes),
      handleClosed: () => this.#handleClosed(tunnel),
      handleRoom: () => this.#process.enqueue(CALIBRATED_COST.eventMs, () => this.flush(tunnel)),
    };
    for (const bytes of end.takeEarly()) this.#handleBytes(tunnel, end, bytes);
  }

  #handleBytes(tunnel: Tunnel, end: TransportEnd, bytes: Uint8Array): void {
    const process = this.#process;
    const { trace } = process.machine.world;
    process.enqueueBytes(bytes.byteLength, () => {
      end.noteRead(bytes.byteLength);
      if (!this.#ends.has(tunnel)) return;
      trace.note('bytes', tunnel.peer.name, process.name, '', bytes.byteLength);
      const chunks = this.tamper === undefined ? [bytes] : this.tamper.handleBytes(tunnel, bytes);
      for (const chunk of chunks) process.node.handleTunnelBytes(tunnel, chunk, process.nowMs);
    });
  }

  #handleClosed(tunnel: Tunnel): void {
    this.#process.enqueue(CALIBRATED_COST.eventMs, () => {
      if (!this.#ends.delete(tunnel)) return;
      this.#process.node.handleTunnelClosed(tunnel, { code: 'TRANSPORT_CLOSED' }, this.#process.nowMs);
    });
  }
}
