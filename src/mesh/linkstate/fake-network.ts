import { fail, ok, type Result } from '#kernel/result.ts';
import { SeededRandom } from '#kernel/random.ts';
import { asciiBytes, concatBytes } from '#kernel/bytes.ts';
import { LinkState } from '#mesh/linkstate/linkstate.ts';
import type { AcceptedCertificate, LinkStateOutput, LinkStatePorts } from '#mesh/linkstate/ports.ts';

/** For tests only: certificates and signatures that only {@link FakeAuthority} can make, without mathematics. */
export interface FakeIdentity {
  readonly name: string;
  readonly der: Uint8Array;
  readonly hash: Uint8Array;
  readonly notAfterMs: number;
  sign(message: Uint8Array): Uint8Array;
}

type Hash = (bytes: Uint8Array) => Uint8Array;

export class FakeAuthority {
  readonly revoked = new Set<string>();
  readonly distrusted = new Set<string>();
  verifications = 0;
  certificateChecks = 0;
  readonly #issued = new Map<string, FakeIdentity>();
  readonly #hash: Hash;
  #serial = 0;

  constructor(hash: Hash) {
    this.#hash = hash;
  }

  issue(name: string, notAfterMs = Number.MAX_SAFE_INTEGER): FakeIdentity {
    const serial = ++this.#serial;
    const der = asciiBytes(`certificate ${serial} of ${name}`);
    const secret = asciiBytes(`secret ${serial}`);
    const hash = this.#hash(der);
    const identity = {
      name,
      der,
      hash,
      notAfterMs,
      sign: (message: Uint8Array) => this.#hash(concatBytes([secret, message])),
    };
    this.#issued.set(hash.toHex(), identity);
    return identity;
  }

  ports(identity: () => FakeIdentity): LinkStatePorts {
    return {
      ownCertificate: identity,
      sign: (message) => identity().sign(message),
      hash: this.#hash,
      acceptCertificate: (der) => this.#accept(der),
      isRevoked: (_name, hash) => this.revoked.has(hash),
    };
  }

  #accept(der: Uint8Array): Result<AcceptedCertificate, string> {
    this.certificateChecks++;
    const hash = this.#hash(der).toHex();
    const identity = this.#issued.get(hash);
    if (identity === undefined || this.distrusted.has(hash)) return fail('CERT_UNTRUSTED');
    if (this.revoked.has(hash)) return fail('CERT_REVOKED');
    return ok({
      name: identity.name,
      hash,
      notAfterMs: identity.notAfterMs,
      verify: (message, signature) => this.#verify(identity, message, signature),
    });
  }

  #verify(identity: FakeIdentity, message: Uint8Array, signature: Uint8Array): boolean {
    this.verifications++;
    return identity.sign(message).toHex() === signature.toHex();
  }
}

export const START_WALL_MS = 1_800_000_000_000;

/** For tests only: machines joined by links that keep order, in virtual time. */
export class FakeNetwork {
  readonly authority: FakeAuthority;
  readonly nodes = new Map<string, LinkState>();
  readonly identities = new Map<string, FakeIdentity>();
  readonly outputs: { readonly node: string; readonly output: LinkStateOutput }[] = [];
  readonly #random: SeededRandom;
  readonly #links = new Set<string>();
  /** Messages on their way, by direction. */
  readonly #wires = new Map<string, Uint8Array[]>();
  /** The directions that `#wires` holds, in no order. */
  readonly #ready: string[] = [];
  nowMs = 0;
  delivered = 0;

  constructor(hash: Hash, seed = 1) {
    this.authority = new FakeAuthority(hash);
    this.#random = new SeededRandom(seed);
  }

  get wallMs(): number {
    return START_WALL_MS + this.nowMs;
  }

  add(name: string, options: { relay?: boolean; incarnation?: number; notAfterMs?: number } = {}): LinkState {
    this.identities.set(name, this.authority.issue(name, options.notAfterMs));
    return this.restart(name, options);
  }

  /** A new machine in the place of `name`, with the identity it has. */
  restart(name: string, options: { relay?: boolean; incarnation?: number } = {}): LinkState {
    const ports = this.authority.ports(() => this.identity(name));
    const { relay = true, incarnation = 1 } = options;
    const node = new LinkState(ports, { origin: name, incarnation, relay }, this.nowMs, this.wallMs);
    this.nodes.set(name, node);
    return node;
  }

  identity(name: string): FakeIdentity {
    const identity = this.identities.get(name);
    if (identity === undefined) throw new Error(`no identity for ${name}`);
    return identity;
  }

  node(name: string): LinkState {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }

  isLinked(a: string, b: string): boolean {
    return this.#links.has(linkKey(a, b));
  }

  link(a: string, b: string): void {
    this.#links.add(linkKey(a, b));
    this.node(a).handleLinkUp(b, this.nowMs, this.wallMs, 1);
    this.node(b).handleLinkUp(a, this.nowMs, this.wallMs, 1);
  }

  unlink(a: string, b: string): void {
    this.#links.delete(linkKey(a, b));
    for (const direction of [`${a} ${b}`, `${b} ${a}`]) {
      const index = this.#ready.indexOf(direction);
      if (index >= 0) this.#retire(index);
    }
    this.node(a).handleLinkDown(b, this.nowMs, this.wallMs);
    this.node(b).handleLinkDown(a, this.nowMs, this.wallMs);
  }

  /** Delivers up to `limit` messages in random order of the wires; returns whether nothing is left to do at this time. */
  settle(limit = 1_000_000): boolean {
    for (const name of this.nodes.keys()) this.#collect(name);
    for (let count = 0; count < limit; count++) {
      const index = Math.floor(this.#random.fraction() * this.#ready.length);
      const direction = this.#ready[index];
      if (direction === undefined) return true;
      const wire = this.#wires.get(direction);
      const message = wire?.shift();
      if (wire === undefined || wire.length === 0) this.#retire(index);
      if (message === undefined) continue;
      const [from = '', to = ''] = direction.split(' ');
      this.node(to).handleMessage(from, message, this.nowMs, this.wallMs);
      this.#collect(to);
      this.delivered++;
    }
    return false;
  }

  /** Lets time pass in steps, everything settling in between. */
  run(durationMs: number, stepMs = 100): void {
    const untilMs = this.nowMs + durationMs;
    this.settle();
    while (this.nowMs < untilMs) {
      this.nowMs = Math.min(untilMs, this.nowMs + stepMs);
      for (const node of this.nodes.values()) node.handleDeadline(this.nowMs, this.wallMs);
      this.settle();
    }
  }

  #collect(name: string): void {
    const node = this.node(name);
    for (let output = node.poll(); output !== undefined; output = node.poll()) {
      if (output.kind !== 'send') this.outputs.push({ node: name, output });
      else if (this.isLinked(name, output.peer)) this.#send(`${name} ${output.peer}`, output.message);
    }
  }

  #send(direction: string, message: Uint8Array): void {
    const wire = this.#wires.get(direction);
    if (wire !== undefined) wire.push(message);
    else {
      this.#wires.set(direction, [message]);
      this.#ready.push(direction);
    }
  }

  #retire(index: number): void {
    const last = this.#ready.pop();
    const direction = index === this.#ready.length ? last : this.#ready[index];
    if (last !== undefined && index < this.#ready.length) this.#ready[index] = last;
    if (direction !== undefined) this.#wires.delete(direction);
  }
}

function linkKey(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
