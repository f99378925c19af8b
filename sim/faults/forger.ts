import { asciiBytes } from '#kernel/bytes.ts';
import { encodeCircuitOpen } from '#mesh/circuit/circuit-open.ts';
import { StreamKind } from '#mesh/mux/frame.ts';
import { LocalStream, type Tunnel } from '#mesh/node/tunnel.ts';
import type { SeededRandom } from '#kernel/random.ts';
import { encodeBody } from '#mesh/linkstate/body.ts';
import { MAX_SEQUENCE } from '#mesh/linkstate/limits.ts';
import { encodeMessage, type Message } from '#mesh/linkstate/messages.ts';
import { attachSignature, encodeUnsigned, signatureInput } from '#mesh/linkstate/record.ts';
import { delimitMessage } from '#mesh/node/message-reader.ts';
import type { Machine } from '../host/machine.ts';
import { pick } from '../world/topologies.ts';

/** A burst of lies comes this often while a member forges. */
const BURST_MS = 100;
const BURST_MESSAGES = 6;
const GARBAGE_BYTES = 40;
const MAX_ODD_HOPS = 10;
/** Beyond the ids that the node itself gives. */
const FIRST_ODD_ID = 1_000_000_000;

/** A member that floods its neighbours with link state that is forged, old, odd or no message at all. */
export class Forger {
  readonly #machine: Machine;
  readonly #random: SeededRandom;
  isActive = false;
  messagesForged = 0;

  constructor(machine: Machine, random: SeededRandom) {
    this.#machine = machine;
    this.#random = random;
  }

  begin(): void {
    this.isActive = true;
    this.#burst();
  }

  #burst(): void {
    if (!this.isActive) return;
    const { running, world } = this.#machine;
    if (running !== undefined) running.enqueue(0.1, () => this.#send());
    world.timeline.after(BURST_MS, () => this.#burst());
  }

  #send(): void {
    const process = this.#machine.running;
    if (process === undefined) return;
    for (const tunnel of process.links.tunnels()) {
      if (tunnel.state !== 'up' || tunnel.linkstate === undefined) continue;
      for (let count = 0; count < BURST_MESSAGES; count++) {
        const bytes = this.#lie();
        this.messagesForged++;
        tunnel.mux.send(tunnel.linkstate, delimitMessage(bytes), process.nowMs);
      }
      this.#openOddly(tunnel);
      process.flush(tunnel);
    }
  }

  /** Asks for a circuit that no honest node would ask for: in circles, too long, or through nodes that do not relay. */
  #openOddly(tunnel: Tunnel): void {
    const { world } = this.#machine;
    const hops = [tunnel.peer.name];
    const length = 1 + (this.#random.word() % MAX_ODD_HOPS);
    while (hops.length < length) {
      const at = world.machine(hops.at(-1) ?? '').running;
      const peers = [...(at?.links.tunnels() ?? [])]
        .map(({ peer }) => peer.name)
        .filter((name) => name !== this.#machine.name);
      if (peers.length === 0) break;
      hops.push(pick(this.#random, peers));
    }
    const circuit = new LocalStream(FIRST_ODD_ID + this.messagesForged, 'out', '', world.wallMs);
    const opened = tunnel.mux.open(StreamKind.circuit, encodeCircuitOpen(hops.slice(1)), circuit, 'local');
    if (opened.ok) circuit.attach(tunnel, opened.value, '', hops);
  }

  #lie(): Uint8Array {
    const { world, name } = this.#machine;
    const names = [...world.machines.keys()];
    const victim = pick(this.#random, names);
    switch (this.#random.word() % 6) {
      case 0:
        return encodeMessage(this.#record(victim, 1_000 + (this.#random.word() % 1_000), false));
      case 1:
        return encodeMessage(this.#record(name, 1 + (this.#random.word() % 3), true));
      case 2:
        return encodeMessage(this.#record(name, MAX_SEQUENCE, true));
      case 3:
        return this.#random.bytes(1 + (this.#random.word() % GARBAGE_BYTES));
      case 4:
        return encodeMessage(this.#digest(victim));
      default:
        return encodeMessage({ kind: 'certificate', der: asciiBytes(`certificate of nobody ${this.#random.word()}`) });
    }
  }

  /** A record that names every node as a neighbour at the least cost; signed by its origin's key or by the forger's. */
  #record(origin: string, sequence: number, isOwn: boolean): Message {
    const { world, identity } = this.#machine;
    const others = [...world.machines.keys()].filter((name) => name !== origin);
    const body = encodeBody({
      neighbours: new Map(others.map((name) => [name, 1])),
      relay: true,
      draining: false,
      issuedAtMs: Math.floor(world.wallMs),
    });
    const certificateHash = isOwn ? identity.hash : world.machine(origin).identity.hash;
    const incarnation = world.machine(origin).process?.incarnation ?? 1;
    const unsigned = encodeUnsigned({ origin, incarnation, sequence, certificateHash, body });
    return { kind: 'record', record: attachSignature(unsigned, identity.sign(signatureInput(unsigned))) };
  }

  /** Says that it has newer records of everybody, and of nodes that do not exist. */
  #digest(victim: string): Message {
    const entry = { incarnation: Number.MAX_SAFE_INTEGER, sequence: 7, hash: this.#random.bytes(32).toHex() };
    return {
      kind: 'digest',
      entries: [
        { origin: victim, ...entry },
        { origin: `ghost-${this.#random.word() % 64}`, ...entry },
      ],
    };
  }
}
