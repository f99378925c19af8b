import { present } from '#kernel/assert.ts';
import { asciiBytes } from '#kernel/bytes.ts';
import { SeededRandom } from '#kernel/random.ts';
import type { OfferedSnapshot } from '#mesh/gossip/snapshot-gossip.ts';
import { FakeAuthority } from '#mesh/linkstate/fake-network.ts';
import { ByteLog } from '#mesh/mux/mux-pair.ts';
import type { Reason } from '#mesh/mux/frame.ts';
import { TransportEnd } from '#mesh/node/net-transport.ts';
import { MeshNode } from '#mesh/node/mesh-node.ts';
import { NetCertificates } from '#mesh/node/net-certificates.ts';
import { type NetPlan, snapshotOf, TRUST_DOMAIN } from '#mesh/node/net-plan.ts';
import type { MeshNodeOptions } from '#mesh/node/node-options.ts';
import type { NodeOutput } from '#mesh/node/output.ts';
import { ALLOW_ALL_STREAMS } from '#mesh/node/stream-policy.ts';
import type { LocalStream, Tunnel } from '#mesh/node/tunnel.ts';
import { nodeSpiffeId, type PeerIdentity } from '#trust/identity.ts';
import type { Revocation } from '#trust/revocation.ts';
import type { SignedSnapshot } from '#trust/signed-snapshot.ts';

const START_WALL_MS = 1_800_000_000_000;
/** Steps of one run, so that a livelock is a failure and not a hang. */
const MAX_ROUNDS = 2_000_000;
/** What a fake TLS takes in advance, as a real socket does. */
const SECURE_HIGH_WATER_BYTES = 262_144;
/** Stands for encryption: what a relay sees is not what was written. */
const CIPHER = 0x5a;

/** TLS over a circuit, faked: each side says its name, then bytes pass disguised. */
interface FakeTls {
  readonly role: 'dialer' | 'acceptor';
  readonly expected: string;
  readonly greeting: ByteLog;
  tunnel: Tunnel | undefined;
}

/** A node with what a driver keeps about it, and what its applications saw. */
export class NetNode {
  readonly name: string;
  readonly node: MeshNode;
  readonly outputs: NodeOutput[] = [];
  readonly received = new Map<LocalStream, ByteLog>();
  readonly ends = new Map<Tunnel, TransportEnd>();
  readonly tls = new Map<LocalStream, FakeTls>();
  readonly circuits = new Map<Tunnel, LocalStream>();
  /** What is done about an `incoming` stream; accepts it unless told otherwise. */
  handleIncoming: (stream: LocalStream) => void = (stream) => this.node.streams.accept(stream);
  /** What is believed of a snapshot that a neighbour offers: nothing unless told otherwise. */
  believe: (offer: OfferedSnapshot) => SignedSnapshot | undefined = () => undefined;
  /** Consumes what arrives at once unless told otherwise. */
  isReading = true;
  /** Answers no TLS that is begun with it. */
  isMute = false;
  /** The node is cut off: its dials fail and nobody reaches it. */
  isAway = false;

  constructor(name: string, node: MeshNode) {
    this.name = name;
    this.node = node;
  }

  of<K extends NodeOutput['kind']>(kind: K): Extract<NodeOutput, { kind: K }>[] {
    return this.outputs.filter((output): output is Extract<NodeOutput, { kind: K }> => output.kind === kind);
  }

  got(stream: LocalStream): Uint8Array {
    return this.received.get(stream)?.bytes ?? new Uint8Array();
  }
}

/** Whole nodes over transports in memory, in virtual time. */
export class NodeNet {
  readonly nodes = new Map<string, NetNode>();
  readonly #authority: FakeAuthority;
  readonly #plan: NetPlan;
  readonly #ends: TransportEnd[] = [];
  readonly #timers: { readonly atMs: number; readonly act: () => void }[] = [];
  readonly #delayMs: number;
  readonly #certificates: NetCertificates;
  #revocations: readonly Revocation[] = [];
  /** Every byte that crossed a link, for looking at it as a relay could. */
  readonly wire = new ByteLog();
  recordsWire = false;
  /** Nobody renews certificates. */
  isControlAway = false;
  nowMs = 0;

  constructor(plan: NetPlan, hash: (bytes: Uint8Array) => Uint8Array) {
    this.#plan = plan;
    this.#delayMs = plan.delayMs ?? 1;
    this.#authority = new FakeAuthority(hash);
    this.#certificates = new NetCertificates(this.#authority, plan.certificateLifeMs);
    for (const { name } of plan.members) this.start(name);
  }

  get wallMs(): number {
    return START_WALL_MS + this.nowMs;
  }

  at(name: string): NetNode {
    return present(this.nodes.get(name), `the node ${name}`);
  }

  /** Starts a node, or starts it anew: its old transports stay open until somebody notices. */
  start(name: string): NetNode {
    const member = this.#plan.members.find((each) => each.name === name);
    this.#certificates.issue(name, this.wallMs);
    const incarnation = this.wallMs;
    const options: MeshNodeOptions = { name, incarnation, relay: member?.relay ?? true, ...member?.options };
    const ports = {
      random: new SeededRandom(this.nodes.size + 1),
      gossip: { isSigned: () => true },
      policy: this.#plan.policy ?? ALLOW_ALL_STREAMS,
      linkState: this.#authority.ports(() => this.#certificates.of(name).identity),
    };
    const started = new NetNode(name, new MeshNode(ports, options, this.nowMs, this.wallMs));
    this.nodes.set(name, started);
    started.node.handleSnapshot(snapshotOf(this.#plan, this.#revocations), this.nowMs);
    this.#renewLater(started);
    return started;
  }

  /** At half of its certificate's life, a little apart from the others. */
  #renewLater(net: NetNode): void {
    const { certificateLifeMs, members } = this.#plan;
    if (certificateLifeMs === undefined) return;
    const turn = members.findIndex(({ name }) => name === net.name) / members.length;
    const act = (): void => {
      if (this.nodes.get(net.name) !== net || this.isControlAway) return;
      this.#certificates.issue(net.name, this.wallMs);
      net.node.handleTrustChanged(this.nowMs, false);
      this.#renewLater(net);
    };
    this.#timers.push({ atMs: this.nowMs + (certificateLifeMs / 2) * (1 + turn / 8), act });
  }

  revoke(name: string): void {
    this.#revocations = [...this.#revocations, { spiffeId: nodeSpiffeId(TRUST_DOMAIN, name), serial: '1', epoch: 1 }];
    for (const { name: to } of this.nodes.values()) if (to !== name) this.publish(to);
  }

  /** Gives a node the present snapshot. */
  publish(to: string): void {
    this.at(to).node.handleSnapshot(snapshotOf(this.#plan, this.#revocations), this.nowMs);
  }

  /** Ends the transport between two neighbours without a word. */
  cut(a: string, b: string): void {
    const end = this.linkEnd(a, b);
    this.#close(end, { code: 'TRANSPORT_CLOSED' });
  }

  /** The transport of the link that `a` has to `b`. */
  linkEnd(a: string, b: string): TransportEnd {
    const link = this.at(a).node.tunnelTo(b);
    const end = link === undefined ? undefined : this.at(a).ends.get(link);
    if (end === undefined) throw new Error(`no link from ${a} to ${b}`);
    return end;
  }

  /** Whether both see each other as neighbours. */
  isLinked(a: string, b: string): boolean {
    return [this.at(a).node.tunnelTo(b), this.at(b).node.tunnelTo(a)].every((tunnel) => tunnel?.via === 'tcp');
  }

  /** Runs until every planned link is up and link state had the time to go round. */
  converge(): void {
    this.runUntil(() => this.#plan.links.every(([a, b]) => this.isLinked(a, b)));
    this.run(3_000);
  }

  /** Opens a stream and waits for the answer. */
  open(from: string, service: string): LocalStream {
    const stream = this.at(from).node.streams.open(service, this.nowMs);
    this.runUntil(() => stream.state !== 'opening');
    return stream;
  }

  /** The other end of the latest stream that arrived at a node. */
  incoming(at: string): LocalStream {
    const output = this.at(at).of('incoming').at(-1);
    if (output === undefined) throw new Error(`nothing arrived at ${at}`);
    return output.stream;
  }

  run(durationMs = 0): void {
    const untilMs = this.nowMs + durationMs;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      for (const node of this.nodes.values()) this.#turn(node);
      const nextMs = this.#nextMs();
      if (nextMs > untilMs) {
        this.nowMs = untilMs;
        return;
      }
      this.nowMs = Math.max(this.nowMs, nextMs);
      this.#advance();
    }
    throw new Error(`no rest at ${this.nowMs} ms`);
  }

  runUntil(isDone: () => boolean, limitMs = 30_000): void {
    const lastMs = this.nowMs + limitMs;
    while (!isDone()) {
      if (this.nowMs >= lastMs) throw new Error(`not done at ${this.nowMs} ms`);
      this.run(1);
    }
  }

  /** Hands bytes to a tunnel as if its transport had brought them: for peers that break the protocol. */
  inject(at: string, from: string, bytes: Uint8Array): void {
    const end = this.linkEnd(at, from);
    end.node.node.handleTunnelBytes(end.tunnel, bytes, this.nowMs);
  }

  identity(name: string): PeerIdentity {
    const { notBeforeMs, notAfterMs } = this.#certificates.of(name);
    return {
      spiffeId: nodeSpiffeId(TRUST_DOMAIN, name),
      name,
      role: 'node',
      serial: '1',
      certificateHash: name,
      notBeforeMs,
      notAfterMs,
      publicKeyAlgorithm: 'ml-dsa-65',
    };
  }

  /** Joins two nodes by a new transport, whoever planned it. */
  connect(dialer: string, acceptor: string): void {
    const [a, b] = [this.at(dialer), this.at(acceptor)];
    const base = { via: 'tcp' as const, group: 'X25519MLKEM768' };
    const near = a.node.handleTunnelOpened(
      { ...base, peer: this.identity(acceptor), role: 'dialer', hops: [acceptor], ...this.#own(dialer) },
      this.nowMs,
    );
    const far = b.node.handleTunnelOpened(
      { ...base, peer: this.identity(dialer), role: 'acceptor', hops: [dialer], ...this.#own(acceptor) },
      this.nowMs,
    );
    const ends = [new TransportEnd(a, near), new TransportEnd(b, far)] as const;
    ends[0].other = ends[1];
    ends[1].other = ends[0];
    for (const end of ends) {
      end.node.ends.set(end.tunnel, end);
      this.#ends.push(end);
    }
  }

  #own(name: string): { readonly ownNotAfterMs: number } {
    return { ownNotAfterMs: this.#certificates.of(name).notAfterMs };
  }

  #nextMs(): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { node } of this.nodes.values()) nextMs = Math.min(nextMs, node.deadlineMs());
    for (const { queue } of this.#ends) nextMs = Math.min(nextMs, queue[0]?.atMs ?? Number.POSITIVE_INFINITY);
    for (const { atMs } of this.#timers) nextMs = Math.min(nextMs, atMs);
    return nextMs;
  }

  #advance(): void {
    for (const { node } of this.nodes.values()) {
      if (node.deadlineMs() <= this.nowMs) node.handleDeadline(this.nowMs, this.wallMs);
    }
    for (const timer of this.#timers.filter(({ atMs }) => atMs <= this.nowMs)) {
      this.#timers.splice(this.#timers.indexOf(timer), 1);
      timer.act();
    }
    for (const end of this.#ends.slice()) this.#deliver(end);
  }

  #deliver(end: TransportEnd): void {
    let count = 0;
    for (const packet of end.queue) {
      if (packet.atMs > this.nowMs) break;
      count++;
      const { other } = end;
      if (other === undefined || other.isClosed) continue;
      if (packet.bytes === undefined) this.#close(other, { code: 'TRANSPORT_CLOSED' });
      else other.node.node.handleTunnelBytes(other.tunnel, packet.bytes, this.nowMs);
    }
    end.queue.splice(0, count);
    if (end.isClosed && end.queue.length === 0) this.#ends.splice(this.#ends.indexOf(end), 1);
  }

  #turn(net: NetNode): void {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const output = net.node.poll();
      if (output !== undefined) {
        this.#carryOut(net, output);
        continue;
      }
      const tunnel = net.node.pollDirty();
      if (tunnel === undefined) return;
      this.#flush(net, tunnel);
    }
    throw new Error(`${net.name} never rests`);
  }

  #flush(net: NetNode, tunnel: Tunnel): void {
    const end = net.ends.get(tunnel);
    if (end !== undefined) return this.#flushLink(end);
    const circuit = net.circuits.get(tunnel);
    if (circuit === undefined) return;
    while (circuit.queuedBytes < SECURE_HIGH_WATER_BYTES) {
      const piece = net.node.pollTransmit(tunnel, this.nowMs);
      if (piece === undefined) return;
      net.node.streams.send(circuit, disguise(piece), this.nowMs);
    }
    net.node.streams.awaitWritable(circuit, SECURE_HIGH_WATER_BYTES / 2);
  }

  #flushLink(end: TransportEnd): void {
    while (!end.isClosed && !end.isFrozen) {
      const piece = end.node.node.pollTransmit(end.tunnel, this.nowMs);
      if (piece === undefined) return;
      if (this.recordsWire) this.wire.push(piece);
      end.queue.push({ atMs: this.nowMs + this.#delayMs, bytes: piece });
    }
  }

  /** Goes on after `isFrozen` was taken back. */
  thaw(end: TransportEnd): void {
    end.isFrozen = false;
    this.#flushLink(end);
  }

  #carryOut(net: NetNode, output: NodeOutput): void {
    if (output.kind === 'data') return this.#handleData(net, output.stream, output.bytes);
    net.outputs.push(output);
    switch (output.kind) {
      case 'dial':
        return this.#dial(net, output.address.split(':')[0] ?? '', output.peer);
      case 'secure':
        return this.#secure(net, output.stream, output.role, output.peer);
      case 'incoming':
        return net.handleIncoming(output.stream);
      case 'close-tunnel':
        return this.#handleClose(net, output.tunnel);
      case 'end':
      case 'reset':
        return this.#handleCircuitGone(net, output.stream);
      case 'writable': {
        const tunnel = net.tls.get(output.stream)?.tunnel;
        return tunnel === undefined ? undefined : this.#flush(net, tunnel);
      }
      case 'snapshot-offered':
        return net.node.handleBelieved(net.believe(output.offer), output.peer, this.nowMs);
      case 'accepted':
      case 'refused':
      case 'cancel-dial':
      case 'pong':
      case 'ping-failed':
      case 'alarm':
        return;
    }
  }

  #dial(net: NetNode, host: string, peer: string): void {
    const isStillHere = (): boolean => this.nodes.get(net.name) === net;
    this.#timers.push({
      atMs: this.nowMs + 2 * this.#delayMs,
      act: () => {
        const target = this.nodes.get(host);
        if (!isStillHere()) return;
        if (target === undefined || target.isAway || net.isAway || host !== peer) {
          net.node.handleDialFailed(peer, this.nowMs);
        } else this.connect(net.name, host);
      },
    });
  }

  #secure(net: NetNode, stream: LocalStream, role: 'dialer' | 'acceptor', expected: string): void {
    net.tls.set(stream, { role, expected, greeting: new ByteLog(), tunnel: undefined });
    if (role === 'dialer') this.#greet(net, stream);
  }

  #greet(net: NetNode, stream: LocalStream): void {
    const name = asciiBytes(net.name);
    const greeting = new Uint8Array(1 + name.byteLength);
    greeting[0] = name.byteLength;
    greeting.set(name, 1);
    net.node.streams.send(stream, greeting, this.nowMs);
  }

  #handleData(net: NetNode, stream: LocalStream, bytes: Uint8Array): void {
    const tls = net.tls.get(stream);
    if (tls !== undefined) {
      net.node.streams.consume(stream, bytes.byteLength, this.nowMs);
      if (tls.tunnel === undefined) return this.#handleGreeting(net, stream, tls, bytes);
      return net.node.handleTunnelBytes(tls.tunnel, disguise(bytes), this.nowMs);
    }
    const log = net.received.get(stream) ?? new ByteLog();
    net.received.set(stream, log);
    log.push(bytes);
    if (net.isReading) net.node.streams.consume(stream, bytes.byteLength, this.nowMs);
  }

  #handleGreeting(net: NetNode, stream: LocalStream, tls: FakeTls, bytes: Uint8Array): void {
    if (net.isMute) return;
    tls.greeting.push(bytes);
    const said = tls.greeting.bytes;
    const end = 1 + (said[0] ?? 255);
    if (said.byteLength < end) return;
    const name = String.fromCharCode(...said.subarray(1, end));
    if (tls.role === 'dialer' && name !== tls.expected) {
      net.tls.delete(stream);
      return net.node.handleSecureFailed(stream, { code: 'CERT_WRONG_ID' }, this.nowMs);
    }
    if (tls.role === 'acceptor') this.#greet(net, stream);
    const hops = tls.role === 'dialer' ? stream.hops : [name];
    const base = { via: 'circuit' as const, group: 'X25519MLKEM768', circuit: stream };
    tls.tunnel = net.node.handleTunnelOpened(
      { ...base, role: tls.role, peer: this.identity(name), hops, ...this.#own(net.name) },
      this.nowMs,
    );
    net.circuits.set(tls.tunnel, stream);
    const rest = said.slice(end);
    if (rest.byteLength > 0) net.node.handleTunnelBytes(tls.tunnel, disguise(rest), this.nowMs);
  }

  #handleCircuitGone(net: NetNode, stream: LocalStream): void {
    const tls = net.tls.get(stream);
    if (tls === undefined) return;
    net.tls.delete(stream);
    net.node.streams.reset(stream, { code: 'STREAM_ABORTED' });
    if (tls.tunnel === undefined) net.node.handleSecureFailed(stream, { code: 'HANDSHAKE_CLOSED' }, this.nowMs);
    else {
      net.circuits.delete(tls.tunnel);
      net.node.handleTunnelClosed(tls.tunnel, { code: 'TRANSPORT_CLOSED' }, this.nowMs);
    }
  }

  #handleClose(net: NetNode, tunnel: Tunnel): void {
    this.#flush(net, tunnel);
    const end = net.ends.get(tunnel);
    if (end !== undefined) this.#close(end, { code: 'TRANSPORT_CLOSED' });
    const circuit = net.circuits.get(tunnel);
    if (circuit === undefined) return;
    if (tunnel.state === 'greeting') net.node.streams.finish(circuit, this.nowMs);
    else this.#handleCircuitGone(net, circuit);
  }

  #close(end: TransportEnd, reason: Reason): void {
    if (end.isClosed) return;
    end.isClosed = true;
    end.queue.push({ atMs: this.nowMs + this.#delayMs, bytes: undefined });
    end.node.ends.delete(end.tunnel);
    end.node.node.handleTunnelClosed(end.tunnel, reason, this.nowMs);
  }
}

function disguise(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => byte ^ CIPHER);
}
