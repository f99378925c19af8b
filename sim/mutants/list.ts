/** A planted bug: `find`, which occurs once in `file`, is replaced. */
export interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'linkstate-one-sided-links',
    file: 'src/mesh/linkstate/graph-of.ts',
    find: 'if (back !== undefined) graph.addLink(origin, name, Math.max(cost, back));',
    replace: 'if (bodies.has(name)) graph.addLink(origin, name, Math.max(cost, back ?? cost));',
  },
  {
    name: 'linkstate-floods-to-nobody-else',
    file: 'src/mesh/linkstate/linkstate.ts',
    find: 'return this.#flood(verdict.origin, peer);',
    replace: 'return;',
  },
  {
    name: 'linkstate-signature-unchecked',
    file: 'src/mesh/linkstate/intake.ts',
    find: 'if (!certificate.verify(signatureInput(envelope.signedBytes), envelope.signature)) {',
    replace: 'if (!certificate.verify(signatureInput(envelope.signedBytes), envelope.signature) && origin === "") {',
  },
  {
    name: 'linkstate-takes-older-records',
    file: 'src/mesh/linkstate/intake.ts',
    find: 'if (order !== 0 || version.origin === this.#self) return order < 0;',
    replace: 'if (order !== 0 || version.origin === this.#self) return false;',
  },
  {
    name: 'linkstate-link-down-unsaid',
    file: 'src/mesh/linkstate/linkstate.ts',
    find: `if (!this.#neighbours.has(peer)) return;
    this.#forgetNeighbour(peer);
    this.#localChange();`,
    replace: `if (!this.#neighbours.has(peer)) return;
    this.#forgetNeighbour(peer);`,
  },
  {
    name: 'membership-never-dials-again',
    file: 'src/mesh/membership/dialler.ts',
    find: 'this.#dueMs = nowMs + delayMs + (this.#role',
    replace: 'this.#dueMs = nowMs + 1e6 + delayMs + (this.#role',
  },
  {
    name: 'membership-forgets-failed-dials',
    file: 'src/mesh/membership/dialler.ts',
    find: `    this.#attempts++;
    this.#retry(nowMs);`,
    replace: `    this.#attempts++;`,
  },
  {
    name: 'relay-takes-a-circuit-back',
    file: 'src/mesh/node/relay.ts',
    find: 'owner.mateTunnel.mux.reset(owner.mate, { ...reason, hop });',
    replace: '',
  },
  {
    name: 'relay-forwards-for-everybody',
    file: 'src/mesh/circuit/circuit-open.ts',
    find: "if (!view.isRelay) return fail('CIRCUIT_NOT_RELAY');",
    replace: '',
  },
  {
    name: 'relay-forwards-loops',
    file: 'src/mesh/circuit/circuit-open.ts',
    find: "if (named.size !== hops.length + 2) return fail('CIRCUIT_LOOP');",
    replace: '',
  },
  {
    name: 'relay-keeps-held-credit',
    file: 'src/mesh/node/relay.ts',
    find: 'owner.mateTunnel.mux.consume(owner.mate, inbound.heldBytes, nowMs);',
    replace: '',
  },
  {
    name: 'mux-grants-twice',
    file: 'src/mesh/mux/receive-window.ts',
    find: 'const grantedBytes = this.#ungrantedBytes + grownBytes;',
    replace: 'const grantedBytes = 2 * this.#ungrantedBytes + grownBytes;',
  },
  {
    name: 'mux-credit-not-sent',
    file: 'src/mesh/mux/receive-window.ts',
    find: 'this.#creditBytes += grantedBytes;',
    replace: 'this.#creditBytes += grantedBytes; if (this.#sizeBytes > 100_000) return 0;',
  },
  {
    name: 'mux-data-out-of-order',
    file: 'src/mesh/mux/send-queue.ts',
    find: 'this.#pieces.push(worthKeeping(piece));',
    replace:
      'if (piece.byteLength === 4_000) this.#pieces.splice(Math.max(this.#head + 1, this.#pieces.length - 1), 0, worthKeeping(piece)); else this.#pieces.push(worthKeeping(piece));',
  },
  {
    name: 'node-revocation-ignored',
    file: 'src/mesh/node/mesh-node.ts',
    find: "if (this.#revocations.isRevoked(tunnel.peer)) this.#end(tunnel, { code: 'CERT_REVOKED' });",
    replace: '',
  },
  {
    name: 'conduit-rewinds-one-too-far',
    file: 'src/mesh/conduit/conduit.ts',
    find: 'this.queue.rewind(received);',
    replace: 'this.queue.rewind(Math.min(received + 1, this.queue.sent));',
  },
  {
    name: 'conduit-sends-again-what-arrived',
    file: 'src/mesh/conduit/conduit.ts',
    find: 'this.queue.rewind(received);',
    replace: 'this.queue.rewind(this.queue.acknowledged);',
  },
  {
    name: 'conduit-says-it-has-more',
    file: 'src/mesh/conduit/conduit.ts',
    find: 'return { received: this.#received, fin: this.#finReceived };',
    replace: 'return { received: Math.max(0, this.#received - 1), fin: this.#finReceived };',
  },
  {
    name: 'conduit-opened-twice',
    file: 'src/mesh/node/conduits.ts',
    find: 'const known = this.#offered.get(tunnel.peer.name, open.id);',
    replace: 'const known = this.#offered.get(tunnel.peer.name, `${open.id}?`);',
  },
  {
    name: 'conduit-skips-a-piece',
    file: 'src/mesh/conduit/retransmit-queue.ts',
    find: 'this.#unsent.prepend(this.#sent.slice(this.#head));',
    replace: 'this.#unsent.prepend(this.#sent.slice(this.#head + 1));',
  },
  {
    name: 'conduit-fin-lost-on-attach',
    file: 'src/mesh/node/conduit-carrier.ts',
    find: 'if (local.conduit.owesFin) tunnel.mux.finish(stream, this.#ports.nowMs());',
    replace: '',
  },
  {
    name: 'conduit-never-tries-again',
    file: 'src/mesh/node/conduit-handle.ts',
    find: 'this.retryMs = nowMs + Math.min(',
    replace: 'this.retryMs = nowMs + 1e6 + Math.min(',
  },
  {
    name: 'conduit-loss-is-the-end',
    file: 'src/mesh/node/conduits.ts',
    find: 'if (local.isAttached && isTransient) return this.#detach(local, reason);',
    replace: '',
  },
];

export function findMutant(name: string): Mutant {
  const mutant = MUTANTS.find((each) => each.name === name);
  if (mutant === undefined) throw new Error(`no planted bug ${name}`);
  return mutant;
}
