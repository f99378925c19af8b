import type { NodeOutput } from '#mesh/node/output.ts';
import type { LocalStream, Tunnel } from '#mesh/node/tunnel.ts';
import { CALIBRATED_COST } from './cost.ts';
import { FakeTls, RECORD_BYTES, type Received } from './fake-tls.ts';
import type { NodeProcess } from './node-process.ts';

/** What TLS takes in advance, as a real socket does. */
const HIGH_WATER_BYTES = 262_144;
/** As the real handshake. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Both honest ends know it, relays do not. */
const SESSION_KEY = 0x51ce5eed;

interface Session {
  readonly role: 'dialer' | 'acceptor';
  /** The name that the other side must say; empty: any. */
  readonly expected: string;
  readonly tls: FakeTls;
  tunnel: Tunnel | undefined;
}

/** The end-to-end tunnels of a process: fake TLS over the circuits that its node opens and accepts. */
export class Circuits {
  readonly #process: NodeProcess;
  readonly #sessions = new Map<LocalStream, Session>();
  readonly #streams = new Map<Tunnel, LocalStream>();

  constructor(process: NodeProcess) {
    this.#process = process;
  }

  /** The circuits with a session, for those who check where they run. */
  streams(): IterableIterator<LocalStream> {
    return this.#sessions.keys();
  }

  secure(stream: LocalStream, role: 'dialer' | 'acceptor', expected: string): void {
    const session: Session = { role, expected, tls: new FakeTls(SESSION_KEY), tunnel: undefined };
    this.#sessions.set(stream, session);
    const process = this.#process;
    const { timeline } = process.machine.world;
    if (role === 'dialer')
      process.enqueue(CALIBRATED_COST.handshakeMs, () => this.#send(stream, session.tls.greet(process.name)));
    timeline.after(HANDSHAKE_TIMEOUT_MS, () => {
      if (this.#sessions.get(stream) !== session || session.tunnel !== undefined) return;
      process.enqueue(CALIBRATED_COST.eventMs, () => this.#fail(stream, 'HANDSHAKE_TIMEOUT'));
    });
  }

  flush(tunnel: Tunnel): void {
    const stream = this.#streams.get(tunnel);
    const session = stream === undefined ? undefined : this.#sessions.get(stream);
    if (stream === undefined || session === undefined) return;
    while (stream.queuedBytes < HIGH_WATER_BYTES) {
      const record = this.#gather(tunnel);
      if (record === undefined) return;
      for (let at = 0; at < record.byteLength; at += RECORD_BYTES)
        this.#send(stream, session.tls.seal(record.subarray(at, at + RECORD_BYTES)));
    }
    this.#process.node.streams.awaitWritable(stream, HIGH_WATER_BYTES / 2);
  }

  handle(output: NodeOutput & { readonly stream: LocalStream }): void {
    const { stream } = output;
    if (output.kind === 'data') return this.#handleData(stream, output.bytes);
    if (output.kind === 'end' || output.kind === 'reset') {
      const code = output.kind === 'reset' ? output.reason.code : 'ended';
      this.#process.machine.world.trace.note('circuit-ended', this.#process.name, stream.peer, code);
      return this.#handleGone(stream);
    }
    const tunnel = this.#sessions.get(stream)?.tunnel;
    if (output.kind === 'writable' && tunnel !== undefined) this.flush(tunnel);
  }

  handleCloseTunnel(tunnel: Tunnel): void {
    this.flush(tunnel);
    const stream = this.#streams.get(tunnel);
    if (stream === undefined) return;
    if (tunnel.state === 'greeting') this.#process.node.streams.finish(stream, this.#process.nowMs);
    else this.#handleGone(stream);
  }

  #gather(tunnel: Tunnel): Uint8Array | undefined {
    const { node, nowMs } = this.#process;
    let gathered: Uint8Array | undefined;
    while (gathered === undefined || gathered.byteLength < RECORD_BYTES / 2 || tunnel.mux.isMidFrame) {
      const piece = node.pollTransmit(tunnel, nowMs);
      if (piece === undefined) break;
      const longer = new Uint8Array((gathered?.byteLength ?? 0) + piece.byteLength);
      if (gathered !== undefined) longer.set(gathered);
      longer.set(piece, gathered?.byteLength ?? 0);
      gathered = longer;
    }
    return gathered;
  }

  #send(stream: LocalStream, bytes: Uint8Array): void {
    this.#process.node.streams.send(stream, bytes, this.#process.nowMs);
  }

  #handleData(stream: LocalStream, bytes: Uint8Array): void {
    const { node, nowMs } = this.#process;
    const session = this.#sessions.get(stream);
    node.streams.consume(stream, bytes.byteLength, nowMs);
    if (session === undefined) return;
    for (const received of session.tls.open(bytes)) {
      if (this.#sessions.get(stream) !== session) return;
      this.#handleReceived(stream, session, received);
    }
  }

  #handleReceived(stream: LocalStream, session: Session, received: Received): void {
    const { node, nowMs } = this.#process;
    if (received.kind === 'broken') {
      this.#process.machine.world.trace.note('tls-broken', this.#process.name, stream.peer);
      if (session.tunnel === undefined) return this.#fail(stream, 'HANDSHAKE_FAILED');
      return this.#handleGone(stream);
    }
    if (received.kind === 'greeting') return this.#handleGreeting(stream, session, received.name);
    if (session.tunnel !== undefined) node.handleTunnelBytes(session.tunnel, received.bytes, nowMs);
  }

  #handleGreeting(stream: LocalStream, session: Session, name: string): void {
    const process = this.#process;
    const { role, expected } = session;
    const { world } = process.machine;
    if ((role === 'dialer' && name !== expected) || !world.isIssued(name)) return this.#fail(stream, 'CERT_WRONG_ID');
    if (role === 'acceptor') {
      // Its part of the handshake keeps the node busy, after which the rest follows.
      process.enqueue(CALIBRATED_COST.handshakeMs, () => undefined);
      this.#send(stream, session.tls.greet(process.name));
    }
    const hops = role === 'dialer' ? stream.hops : [stream.tunnel?.peer.name ?? '', '…', name];
    const opened = {
      via: 'circuit',
      role,
      peer: world.identityOf(name),
      hops,
      group: 'X25519MLKEM768',
      circuit: stream,
    } as const;
    session.tunnel = process.node.handleTunnelOpened(opened, process.nowMs);
    this.#streams.set(session.tunnel, stream);
    world.trace.note('tunnel-opened', process.name, name, role);
  }

  #fail(stream: LocalStream, code: string): void {
    this.#sessions.delete(stream);
    this.#process.node.handleSecureFailed(stream, { code }, this.#process.nowMs);
  }

  #handleGone(stream: LocalStream): void {
    const session = this.#sessions.get(stream);
    if (session === undefined) return;
    const { node, nowMs } = this.#process;
    this.#sessions.delete(stream);
    node.streams.reset(stream, { code: 'STREAM_ABORTED' });
    if (session.tunnel === undefined) return node.handleSecureFailed(stream, { code: 'HANDSHAKE_CLOSED' }, nowMs);
    this.#streams.delete(session.tunnel);
    node.handleTunnelClosed(session.tunnel, { code: 'TRANSPORT_CLOSED' }, nowMs);
  }
}
