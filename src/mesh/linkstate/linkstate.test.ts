import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { encode } from '@msgpack/msgpack';
import { describe, expect, test } from 'vitest';
import { asciiBytes, concatBytes } from '#kernel/bytes.ts';
import { SeededRandom } from '#kernel/random.ts';
import { encodeBody, type RecordBody } from '#mesh/linkstate/body.ts';
import { FakeNetwork, START_WALL_MS, type FakeIdentity } from '#mesh/linkstate/fake-network.ts';
import {
  MAX_AGE_MS,
  MAX_MESSAGE_BYTES,
  MAX_NEIGHBOURS,
  MAX_ORIGINS,
  MAX_PENDING_PER_NEIGHBOUR,
  MAX_SEQUENCE,
  NEIGHBOUR_BURST,
  ORIGIN_BURST,
} from '#mesh/linkstate/limits.ts';
import type { LinkState } from '#mesh/linkstate/linkstate.ts';
import { encodeMessage, parseMessage, type Message } from '#mesh/linkstate/messages.ts';
import { attachSignature, encodeUnsigned, parseRecord, signatureInput } from '#mesh/linkstate/record.ts';

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest());
}

interface Forged extends Partial<Omit<RecordBody, 'neighbours'>> {
  readonly incarnation?: number;
  readonly sequence?: number;
  readonly neighbours?: readonly (readonly [string, number])[];
  readonly body?: Uint8Array;
  readonly origin?: string;
}

function makeRecord(identity: FakeIdentity, options: Forged = {}): Uint8Array {
  const { incarnation = 1, sequence = 1, relay = true, draining = false, issuedAtMs = START_WALL_MS } = options;
  const body = options.body ?? encodeBody({ neighbours: new Map(options.neighbours), relay, draining, issuedAtMs });
  const origin = options.origin ?? identity.name;
  const unsigned = encodeUnsigned({ origin, incarnation, sequence, certificateHash: identity.hash, body });
  return attachSignature(unsigned, identity.sign(signatureInput(unsigned)));
}

/** One machine, `home`, with scripted neighbours. */
class Bench {
  readonly network = new FakeNetwork(sha256);
  readonly home: LinkState;
  readonly sent: { readonly peer: string; readonly message: Message }[] = [];
  readonly alarms: string[] = [];
  nowMs = 0;
  wallMs = START_WALL_MS;

  constructor(peers: readonly string[] = ['left', 'right']) {
    this.home = this.network.add('home');
    for (const peer of peers) this.home.handleLinkUp(peer, this.nowMs, this.wallMs, 1);
    this.drain();
    this.sent.length = 0;
  }

  issue(name: string, notAfterMs?: number): FakeIdentity {
    return this.network.authority.issue(name, notAfterMs);
  }

  drain(): void {
    for (let output = this.home.poll(); output !== undefined; output = this.home.poll()) {
      if (output.kind === 'alarm') this.alarms.push(output.code);
      if (output.kind !== 'send') continue;
      const parsed = parseMessage(output.message);
      if (parsed.ok) this.sent.push({ peer: output.peer, message: parsed.value });
    }
  }

  give(peer: string, message: Message): void {
    this.giveBytes(peer, encodeMessage(message));
  }

  giveBytes(peer: string, bytes: Uint8Array): void {
    this.home.handleMessage(peer, bytes, this.nowMs, this.wallMs);
    this.drain();
  }

  giveRecord(peer: string, record: Uint8Array): void {
    this.give(peer, { kind: 'record', record });
  }

  giveCertificate(peer: string, identity: FakeIdentity): void {
    this.give(peer, { kind: 'certificate', der: identity.der });
  }

  /** The record, and the certificate if it is asked for. */
  introduce(peer: string, identity: FakeIdentity, options: Forged = {}): void {
    this.giveRecord(peer, makeRecord(identity, options));
    if (this.asked(peer).includes(identity.hash.toHex())) this.giveCertificate(peer, identity);
  }

  later(milliseconds: number): void {
    this.nowMs += milliseconds;
    this.wallMs += milliseconds;
    this.home.handleDeadline(this.nowMs, this.wallMs);
    this.drain();
  }

  asked(peer: string): string[] {
    return this.sent.flatMap((sent) =>
      sent.peer === peer && sent.message.kind === 'certificate-request' ? sent.message.hashes : [],
    );
  }

  /** Origins of the records sent to `peer`. */
  records(peer: string): string[] {
    return this.sent.flatMap(({ peer: to, message }) => {
      if (to !== peer || message.kind !== 'record') return [];
      const parsed = parseRecord(message.record);
      return parsed.ok ? [parsed.value.origin] : [];
    });
  }

  knows(origin: string): boolean {
    return this.home.records().some((record) => record.origin === origin);
  }

  version(origin: string): readonly number[] {
    const record = this.home.records().find((stored) => stored.origin === origin);
    return record === undefined ? [] : [record.incarnation, record.sequence];
  }

  count(name: string): number {
    return this.home.counters.get(name);
  }
}

function describeMesh(node: LinkState): unknown {
  const graph = node.graph();
  const names = [...graph.names()].sort();
  return names.map((name) => [name, graph.facts(name), [...graph.links(name)].sort(([a], [b]) => (a < b ? -1 : 1))]);
}

function chain(...names: string[]): FakeNetwork {
  const network = new FakeNetwork(sha256);
  for (const name of names) network.add(name);
  for (const [index, name] of names.entries()) {
    const next = names[index + 1];
    if (next !== undefined) network.link(name, next);
  }
  return network;
}

describe('a mesh', () => {
  test('learns every record, certificate and path from one neighbour', () => {
    const network = chain('a', 'b', 'c', 'd');
    network.run(200);
    expect(network.node('a').path('d').primary?.hops).toEqual(['b', 'c', 'd']);
    expect(network.node('d').path('a').primary?.hops).toEqual(['c', 'b', 'a']);
    expect(network.node('a').pathBetween('b', 'd').primary?.hops).toEqual(['c', 'd']);
    expect(network.node('a').records()).toHaveLength(4);
  });

  test('is believed though clocks count fractions of a millisecond', () => {
    const network = new FakeNetwork(sha256);
    network.nowMs = 0.1875;
    network.add('a');
    network.add('b');
    network.link('a', 'b');
    network.run(200);
    expect(network.node('a').path('b').primary?.hops).toEqual(['b']);
    expect(network.node('b').counters.toJSON()).not.toHaveProperty('record-body-malformed');
  });

  test('checks each record once, however many neighbours bring it', () => {
    const network = new FakeNetwork(sha256);
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const name of names) network.add(name);
    for (const a of names) for (const b of names) if (a < b) network.link(a, b);
    network.run(60_000);
    let originated = 0;
    for (const node of network.nodes.values()) originated += node.counters.get('record-originated');
    expect(network.authority.verifications).toBeLessThanOrEqual(originated * (names.length - 1));
  });

  test('is quiet once it has converged', () => {
    const network = chain('a', 'b', 'c');
    network.run(30_000);
    const before = network.delivered;
    network.run(60_000);
    expect(network.delivered - before).toBeLessThanOrEqual(4 * 6);
  });

  test('drops a link when one end stops reporting it, and a path through it at once', () => {
    const network = chain('a', 'b', 'c');
    network.run(200);
    network.node('b').handleLinkDown('c', network.nowMs, network.wallMs);
    network.run(200);
    expect(network.node('a').path('c').primary).toBeUndefined();
  });

  test('counts a link at the worse of both costs', () => {
    const network = chain('a', 'b');
    network.run(200);
    network.node('b').handleLinkCost('a', 80, network.nowMs, network.wallMs);
    network.run(200);
    expect(network.node('a').path('b').primary?.cost).toBe(network.node('b').path('a').primary?.cost);
    expect(network.node('a').path('b').primary?.cost).toBeGreaterThan(5000);
  });

  test('makes no records of jitter', () => {
    const network = chain('a', 'b');
    network.run(1000);
    const before = network.node('a').counters.get('record-originated');
    for (let i = 0; i < 1000; i++)
      network.node('a').handleLinkCost('b', 1 + (i % 3) / 10, network.nowMs, network.wallMs);
    network.run(1000);
    expect(network.node('a').counters.get('record-originated')).toBe(before);
  });

  test('tells of draining and of relaying', () => {
    const network = chain('a', 'b', 'c');
    network.run(200);
    network.node('b').setLocal({ relay: true, draining: true }, network.nowMs, network.wallMs);
    network.run(200);
    expect(network.node('c').graph().draining('b')).toBe(true);
    network.node('b').setLocal({ relay: false, draining: false }, network.nowMs, network.wallMs);
    network.run(200);
    expect(network.node('c').path('a').primary).toBeUndefined();
  });

  test('brings two halves together that grew apart', () => {
    const network = chain('a', 'b', 'c', 'd');
    network.run(200);
    network.unlink('b', 'c');
    network.add('e');
    network.link('a', 'e');
    network.run(5000);
    expect(
      network
        .node('d')
        .records()
        .map(({ origin }) => origin),
    ).not.toContain('e');
    network.link('b', 'c');
    network.run(200);
    expect(network.node('d').path('e').primary?.hops).toEqual(['c', 'b', 'a', 'e']);
  });

  test('converges on random graphs under random flaps', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 9 }), fc.integer(), (size, seed) => {
        const network = new FakeNetwork(sha256, seed);
        const random = new SeededRandom(seed);
        const names = Array.from({ length: size }, (_, i) => `n${i}`);
        for (const name of names) network.add(name, { relay: random.fraction() < 0.7 });
        const flap = (): void => {
          const a = names[Math.floor(random.fraction() * size)] ?? 'n0';
          const b = names[Math.floor(random.fraction() * size)] ?? 'n0';
          if (a === b) return;
          if (network.isLinked(a, b)) network.unlink(a, b);
          else network.link(a, b);
        };
        for (let i = 0; i < size * 3; i++) {
          flap();
          network.settle(Math.floor(random.fraction() * 20));
          if (random.fraction() < 0.2) network.run(100);
        }
        for (let i = 1; i < size; i++) if (!network.isLinked('n0', `n${i}`)) network.link('n0', `n${i}`);
        network.run(25_000, 500);
        const expected = describeMesh(network.node('n0'));
        for (const name of names) expect(describeMesh(network.node(name))).toEqual(expected);
        for (const a of names) {
          const links = new Set(network.node('n0').graph().links(a).keys());
          expect(links).toEqual(new Set(names.filter((b) => network.isLinked(a, b))));
        }
      }),
      { numRuns: 60 },
    );
  });

  test('of two hundred nodes converges within seconds', () => {
    const network = new FakeNetwork(sha256);
    for (let i = 0; i < 200; i++) network.add(`n${i}`);
    for (let i = 0; i < 200; i++) for (const step of [1, 17]) network.link(`n${i}`, `n${(i + step) % 200}`);
    network.run(12_000, 1000);
    for (const node of network.nodes.values()) expect(node.records()).toHaveLength(200);
    expect(network.node('n0').path('n53').protected).toBe(true);
    // Its seconds are the network's; how long a busy machine takes for them is not the question.
  }, 120_000);
});

describe('a record', () => {
  test('is not passed on before its certificate is known and its signature checked', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.giveRecord('left', makeRecord(far));
    expect(bench.knows('far')).toBe(false);
    expect(bench.asked('left')).toEqual([far.hash.toHex()]);
    expect(bench.records('right')).toEqual([]);
    bench.giveCertificate('left', far);
    expect(bench.knows('far')).toBe(true);
    expect(bench.records('right')).toEqual(['far']);
    expect(bench.records('left')).toEqual([]);
  });

  test('keeps what a newer version wrote into it, byte for byte', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    const body = encode({
      neighbours: [['x', 5, 'more']],
      relay: true,
      draining: false,
      issuedAt: START_WALL_MS,
      future: { deep: [1, 'two'] },
    });
    bench.introduce('left', far, { body });
    const passedOn = bench.sent.find(({ peer, message }) => peer === 'right' && message.kind === 'record');
    expect(passedOn?.message).toEqual({ kind: 'record', record: makeRecord(far, { body }) });
  });

  test('is kept although the buffer it came in is used again', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    const record = makeRecord(far);
    const messages: Message[] = [
      { kind: 'record', record },
      { kind: 'certificate', der: far.der },
    ];
    for (const message of messages) {
      const buffer = Buffer.from(encodeMessage(message));
      bench.giveBytes('left', buffer);
      buffer.fill(0);
    }
    bench.give('left', { kind: 'request', origins: ['far'] });
    bench.give('left', { kind: 'certificate-request', hashes: [far.hash.toHex()] });
    const sent = bench.sent.filter(({ peer }) => peer === 'left').map(({ message }) => message);
    for (const message of messages) expect(sent).toContainEqual(message);
  });

  test('that comes twice costs one signature check', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.introduce('left', far);
    const { verifications } = bench.network.authority;
    bench.giveRecord('right', makeRecord(far));
    bench.giveRecord('left', makeRecord(far));
    expect(bench.network.authority.verifications).toBe(verifications);
    expect(bench.count('record-duplicate')).toBe(2);
  });

  test('older than the stored one is answered with the newer one', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.introduce('left', far, { sequence: 7 });
    bench.sent.length = 0;
    bench.giveRecord('left', makeRecord(far, { sequence: 6 }));
    expect(bench.version('far')).toEqual([1, 7]);
    expect(bench.count('record-stale')).toBe(1);
    expect(bench.records('left')).toEqual(['far']);
  });

  test('of a later life counts although its sequence is lower', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.introduce('left', far, { incarnation: 5, sequence: 900 });
    bench.giveRecord('left', makeRecord(far, { incarnation: 6, sequence: 1 }));
    expect(bench.version('far')).toEqual([6, 1]);
  });

  test('dies with its certificate', () => {
    const bench = new Bench();
    bench.introduce('left', bench.issue('far', START_WALL_MS + 60_000));
    bench.later(59_000);
    expect(bench.knows('far')).toBe(true);
    bench.later(1000);
    expect(bench.knows('far')).toBe(false);
    expect(bench.count('record-expired')).toBe(1);
  });

  test('that nobody refreshes is forgotten, and its replay refused', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.introduce('left', far);
    bench.later(MAX_AGE_MS);
    expect(bench.knows('far')).toBe(false);
    bench.introduce('left', far);
    expect(bench.knows('far')).toBe(false);
  });

  test('of its own is refreshed long before others forget it', () => {
    const network = chain('a', 'b');
    network.run(3 * MAX_AGE_MS, 60_000);
    expect(network.node('a').path('b').primary?.hops).toEqual(['b']);
    expect(network.node('a').counters.get('record-expired')).toBe(0);
  });

  test('follows its certificate when that is renewed', () => {
    const network = chain('a', 'b');
    network.run(200);
    network.identities.set('b', network.authority.issue('b'));
    network.node('b').handleTrustChanged(network.nowMs, network.wallMs, false);
    network.run(200);
    const stored = network
      .node('a')
      .records()
      .find(({ origin }) => origin === 'b');
    expect(stored?.certificateHash).toBe(network.identity('b').hash.toHex());
  });

  test('is dropped when its certificate is revoked, and does not come back', () => {
    const network = chain('a', 'b', 'c');
    network.run(200);
    network.authority.revoked.add(network.identity('c').hash.toHex());
    network.node('a').handleTrustChanged(network.nowMs, network.wallMs, false);
    network.run(30_000);
    expect(network.node('a').path('c').primary).toBeUndefined();
    expect(network.node('a').counters.get('record-revoked')).toBe(1);
  });

  test('is dropped when its issuer is no longer trusted, and comes back with the trust', () => {
    const network = chain('a', 'b', 'c');
    network.run(200);
    network.authority.distrusted.add(network.identity('c').hash.toHex());
    network.node('a').handleTrustChanged(network.nowMs, network.wallMs);
    expect(network.node('a').graph().has('c')).toBe(false);
    network.run(15_000);
    expect(network.node('a').graph().has('c')).toBe(false);
    network.authority.distrusted.clear();
    network.node('a').handleTrustChanged(network.nowMs, network.wallMs);
    network.run(15_000);
    expect(network.node('a').path('c').primary?.hops).toEqual(['b', 'c']);
  });
});

describe('its own record', () => {
  test('of an earlier life is outdone at once', () => {
    const network = chain('a', 'b');
    network.run(200);
    network.unlink('a', 'b');
    for (let i = 0; i < 5; i++)
      network.node('a').setLocal({ relay: i % 2 === 1, draining: false }, network.nowMs, network.wallMs);
    network.restart('a', { incarnation: 1 });
    network.link('a', 'b');
    network.run(1000);
    expect(network.node('b').path('a').primary?.hops).toEqual(['a']);
    expect(network.node('a').counters.get('alarm-doubled-identity')).toBe(0);
  });

  test('is never taken from somebody without its key', () => {
    const bench = new Bench();
    const thief = bench.issue('thief');
    const [incarnation = 0, sequence = 0] = bench.version('home');
    bench.introduce('left', thief, { origin: 'home', incarnation: incarnation + 1, sequence });
    expect(bench.version('home')).toEqual([incarnation, sequence]);
    expect(bench.count('record-certificate-of-another')).toBe(1);
    expect(bench.count('record-own-contested')).toBe(0);
  });

  test('made by another process raises an alarm, and is outdone at a bounded rate', () => {
    const bench = new Bench();
    const twin = bench.network.identity('home');
    for (let i = 0; i < 600; i++) {
      const [incarnation = 0, sequence = 0] = bench.version('home');
      bench.giveRecord('left', makeRecord(twin, { incarnation, sequence: sequence + 1, relay: false }));
      bench.later(100);
    }
    expect(bench.alarms).toEqual(['DOUBLED_IDENTITY']);
    expect(bench.count('record-originated')).toBeLessThan(25);
    expect(bench.home.graph().transit('home')).toBe(true);
  });

  test('at the last sequence goes on in a new incarnation, with an alarm', () => {
    const bench = new Bench();
    const [incarnation = 0] = bench.version('home');
    bench.giveRecord('left', makeRecord(bench.network.identity('home'), { incarnation, sequence: MAX_SEQUENCE }));
    bench.later(100);
    expect(bench.version('home')).toEqual([incarnation + 1, 1]);
    expect(bench.alarms).toEqual(['SEQUENCE_EXHAUSTED']);
  });

  test('is made at a bounded rate however often its links flap', () => {
    const bench = new Bench();
    for (let i = 0; i < 1000; i++) {
      bench.home.handleLinkUp('flapper', bench.nowMs, bench.wallMs, 1);
      bench.later(5);
      bench.home.handleLinkDown('flapper', bench.nowMs, bench.wallMs);
      bench.later(5);
    }
    expect(bench.count('record-originated')).toBeLessThan(45);
    bench.later(1000);
    expect(bench.home.records()[0]?.neighbours.map(({ name }) => name)).toEqual(['left', 'right']);
  });
});

describe('bad input', () => {
  const refusals: readonly (readonly [string, string, (far: FakeIdentity) => Uint8Array])[] = [
    ['of version 99', 'record-version-unsupported', (far) => patched(makeRecord(far), 0, 99)],
    ['that is truncated', 'record-truncated', (far) => makeRecord(far).subarray(0, -1)],
    ['that is empty', 'record-truncated', () => new Uint8Array(0)],
    ['with bytes behind its end', 'record-trailing-bytes', (far) => concatBytes([makeRecord(far), asciiBytes('x')])],
    ['with an origin that is no name', 'record-bad-origin', (far) => patched(makeRecord(far), 2, 0x2f)],
    ['with sequence zero', 'record-sequence-out-of-range', (far) => patchedWord(makeRecord(far), 13, 0)],
    [
      'whose sequence jumps past the end',
      'record-sequence-out-of-range',
      (far) => patchedWord(makeRecord(far), 13, 0xffff_ffff),
    ],
    ['with incarnation zero', 'record-incarnation-out-of-range', (far) => patched(makeRecord(far), 12, 0)],
    [
      'with an incarnation beyond numbers',
      'record-incarnation-out-of-range',
      (far) => patched(makeRecord(far), 5, 0xff),
    ],
    ['that claims a body of 4 GiB', 'record-body-too-big', (far) => patchedWord(makeRecord(far), 49, 0xffff_ffff)],
    ['with a body of 21 KiB', 'record-body-too-big', (far) => longBody(far)],
    ['naming itself as neighbour', 'record-names-itself', (far) => makeRecord(far, { neighbours: [['far', 5]] })],
    ['with cost zero', 'record-cost-out-of-range', (far) => makeRecord(far, { neighbours: [['x', 0]] })],
    ['with a cost below zero', 'record-cost-out-of-range', (far) => makeRecord(far, { neighbours: [['x', -5]] })],
    [
      'with a cost above the bound',
      'record-cost-out-of-range',
      (far) => makeRecord(far, { neighbours: [['x', 1_000_001]] }),
    ],
    ['with a broken cost', 'record-cost-out-of-range', (far) => makeRecord(far, { neighbours: [['x', 1.5]] })],
    [
      'naming one neighbour twice',
      'record-neighbour-twice',
      (far) =>
        makeRecord(far, {
          body: bodyOf({
            neighbours: [
              ['x', 1],
              ['x', 2],
            ],
          }),
        }),
    ],
    [
      'with a neighbour that is no name',
      'record-bad-neighbour-name',
      (far) => makeRecord(far, { neighbours: [['../x', 5]] }),
    ],
    [
      'with 257 neighbours',
      'record-too-many-neighbours',
      (far) => makeRecord(far, { neighbours: Array.from({ length: 257 }, (_, i) => [`x${i}`, 1]) }),
    ],
    [
      'claiming a million neighbours',
      'record-body-malformed',
      (far) => makeRecord(far, { body: Uint8Array.of(0x81, 0xa1, 0x6e, 0xdd, 0, 0x0f, 0x42, 0x40) }),
    ],
    [
      'with endless nesting',
      'record-body-malformed',
      (far) => makeRecord(far, { body: new Uint8Array(10_000).fill(0x91) }),
    ],
    ['whose body is no map', 'record-body-malformed', (far) => makeRecord(far, { body: encode([1, 2]) })],
    ['without fields', 'record-body-malformed', (far) => makeRecord(far, { body: encode({}) })],
    [
      'from the future',
      'record-from-the-future',
      (far) => makeRecord(far, { issuedAtMs: START_WALL_MS + 16 * 60_000 }),
    ],
    ['too old', 'record-expired', (far) => makeRecord(far, { issuedAtMs: START_WALL_MS - MAX_AGE_MS })],
    ['signed by another', 'record-bad-signature', (far) => patched(makeRecord(far), -1, 0)],
    [
      'whose body was changed on the way',
      'record-bad-signature',
      (far) => concatBytes([makeRecord(far, { draining: true }).subarray(0, -34), makeRecord(far).subarray(-34)]),
    ],
  ];

  test.each(refusals)('refuses a record %s: %s', (_what, code, make) => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.giveRecord('left', make(far));
    if (bench.asked('left').length > 0) bench.giveCertificate('left', far);
    expect(bench.count(code)).toBe(1);
    expect(bench.knows('far')).toBe(false);
    expect(bench.records('right')).toEqual([]);
    bench.introduce('left', far, { sequence: 9 });
    expect(bench.version('far')).toEqual([1, 9]);
  });

  test('refuses a record that cites the certificate of another', () => {
    const bench = new Bench();
    bench.introduce('left', bench.issue('mallory'), { origin: 'far' });
    expect(bench.count('record-certificate-of-another')).toBe(1);
    expect(bench.knows('far')).toBe(false);
  });

  test('refuses a certificate that nobody asked for, and one that the issuer did not sign', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.giveCertificate('left', far);
    expect(bench.count('certificate-unasked')).toBe(1);
    bench.network.authority.distrusted.add(far.hash.toHex());
    bench.introduce('left', far);
    expect(bench.count('certificate-refused')).toBe(1);
    const { certificateChecks } = bench.network.authority;
    for (let i = 2; i < 50; i++) bench.introduce('left', far, { sequence: i });
    expect(bench.network.authority.certificateChecks).toBe(certificateChecks);
  });

  test('checks the signature of one forged record once, and hears less from who sends many', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.introduce('left', far);
    const forged = patched(makeRecord(far, { sequence: 2 }), -1, 0);
    const before = bench.network.authority.verifications;
    for (let i = 0; i < 10; i++) bench.giveRecord('left', forged);
    expect(bench.network.authority.verifications).toBe(before + 1);
    for (let i = 3; i < 1000; i++) bench.giveRecord('left', patched(makeRecord(far, { sequence: i }), -1, 0));
    expect(bench.count('message-neighbour-rate')).toBeGreaterThan(500);
    bench.giveRecord('right', makeRecord(far, { sequence: 1000 }));
    expect(bench.version('far')).toEqual([1, 1000]);
  });

  test('bounds how often one origin may change, without letting others use its allowance up', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    for (let i = 1; i <= 100; i++) bench.introduce('left', far, { sequence: i });
    expect(bench.count('record-origin-rate')).toBe(100 - ORIGIN_BURST);
    expect(bench.version('far')).toEqual([1, ORIGIN_BURST]);
    const near = bench.issue('near');
    bench.introduce('right', near);
    for (let i = 2; i < 100; i++) bench.giveRecord('left', patched(makeRecord(near, { sequence: i }), -1, 0));
    bench.giveRecord('right', makeRecord(near, { sequence: 200 }));
    expect(bench.version('near')).toEqual([1, 200]);
  });

  test('bounds what one neighbour may say', () => {
    const bench = new Bench();
    for (let i = 0; i < NEIGHBOUR_BURST + 50; i++) bench.give('left', { kind: 'request', origins: [] });
    expect(bench.count('message-neighbour-rate')).toBe(50);
  });

  test('bounds the records that wait for certificates, and forgets them', () => {
    const bench = new Bench();
    for (let i = 0; i < 500; i++) bench.giveRecord('left', makeRecord(bench.issue(`f${i}`)));
    expect(bench.count('record-pending-full')).toBe(500 - MAX_PENDING_PER_NEIGHBOUR);
    const far = bench.issue('far');
    bench.introduce('right', far);
    expect(bench.knows('far')).toBe(true);
    bench.later(6000);
    expect(bench.count('record-certificate-missing')).toBe(MAX_PENDING_PER_NEIGHBOUR);
    const again = bench.issue('again');
    bench.introduce('left', again);
    expect(bench.knows('again')).toBe(true);
  });

  test('holds 4,096 origins, and still hears those', () => {
    const bench = new Bench();
    const identities = Array.from({ length: MAX_ORIGINS }, (_, i) => bench.issue(`f${i}`));
    for (const [i, identity] of identities.entries()) {
      bench.introduce('left', identity);
      if (i % 100 === 99) bench.later(200);
      bench.sent.length = 0;
    }
    expect(bench.home.records()).toHaveLength(MAX_ORIGINS);
    expect(bench.count('record-table-full')).toBe(1);
    bench.giveRecord('right', makeRecord(bench.issue('f0'), { sequence: 1 }));
    bench.introduce('left', identities[5] ?? bench.issue('none'), { sequence: 2 });
    expect(bench.version('f5')).toEqual([1, 2]);
  });

  test('names no more than 256 neighbours of its own', () => {
    const bench = new Bench(Array.from({ length: 300 }, (_, i) => `p${i}`));
    const own = bench.home.records().find(({ origin }) => origin === 'home');
    expect(own?.neighbours).toHaveLength(MAX_NEIGHBOURS);
  });

  test('answers many summaries with one digest', () => {
    const bench = new Bench();
    for (let i = 0; i < 100; i++) bench.give('left', { kind: 'summary', hash: 'ab'.repeat(32) });
    expect(bench.sent.filter(({ message }) => message.kind === 'digest')).toHaveLength(1);
  });

  test('asks in portions for what a digest promises, and gives up on promises', () => {
    const bench = new Bench();
    const entries = Array.from({ length: 200 }, (_, i) => ({
      origin: `f${i}`,
      incarnation: 1,
      sequence: 1,
      hash: '00'.repeat(32),
    }));
    bench.give('left', { kind: 'digest', entries });
    const asked = () => bench.sent.flatMap(({ message }) => (message.kind === 'request' ? message.origins : [])).length;
    expect(asked()).toBe(64);
    bench.later(6000);
    expect(asked()).toBe(128);
  });

  test.each([
    ['of version 99', 'message-version-unsupported', Uint8Array.of(99, 1)],
    ['of an unknown kind', 'message-unknown-kind', Uint8Array.of(1, 77)],
    ['that is empty', 'message-malformed', new Uint8Array(0)],
    ['with half a hash', 'message-malformed', Uint8Array.of(1, 1, 5, 5)],
    ['with a digest of 65,535 entries', 'message-malformed', Uint8Array.of(1, 2, 0xff, 0xff)],
    ['with a request of 65,535 entries', 'message-malformed', Uint8Array.of(1, 3, 0xff, 0xff)],
    ['of 33 KiB', 'message-too-big', new Uint8Array(MAX_MESSAGE_BYTES + 1)],
  ])('refuses a message %s: %s', (_what, code, bytes) => {
    const bench = new Bench();
    bench.giveBytes('left', bytes);
    expect(bench.count(code)).toBe(1);
  });

  test('hears nothing from who is no neighbour', () => {
    const bench = new Bench();
    bench.giveRecord('stranger', makeRecord(bench.issue('far')));
    expect(bench.count('message-from-stranger')).toBe(1);
  });

  test('survives any bytes', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    const seeds = [makeRecord(far), far.der].map((payload, i) =>
      concatBytes([Uint8Array.of(1, i === 0 ? 4 : 6), payload]),
    );
    const mutated = fc
      .tuple(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }))
      .map(([seed, patches]) => {
        const bytes = seed.slice();
        for (const [offset, value] of patches) bytes[offset % bytes.length] = value;
        return bytes;
      });
    const framed = fc
      .tuple(fc.nat(7), fc.uint8Array({ maxLength: 300 }))
      .map(([kind, rest]) => concatBytes([Uint8Array.of(1, kind), rest]));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated, framed), (bytes) => {
        bench.giveBytes('left', bytes);
        bench.later(50);
        expect(bench.knows('home')).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('LSA poisoning (security checklist 11)', () => {
  test('a forged link: nobody signs for another', () => {
    const bench = new Bench();
    const victim = bench.issue('victim');
    const record = makeRecord(victim, { neighbours: [['left', 5]] });
    bench.introduce('right', victim);
    bench.giveRecord('left', patched(record, -1, 7));
    expect(bench.count('record-stale') + bench.count('record-bad-signature') + bench.count('record-duplicate')).toBe(1);
    expect(bench.home.graph().links('victim').size).toBe(0);
  });

  test('a one-sided link does not count', () => {
    const bench = new Bench();
    bench.introduce('left', bench.issue('left'), {
      neighbours: [
        ['home', 5],
        ['bank', 1],
      ],
    });
    bench.introduce('right', bench.issue('right'), {
      neighbours: [
        ['home', 5],
        ['bank', 500],
      ],
    });
    bench.introduce('right', bench.issue('bank'), { neighbours: [['right', 500]] });
    expect(bench.home.path('bank').primary?.hops).toEqual(['right', 'bank']);
  });

  test('cost 0 is refused', () => {
    const bench = new Bench();
    bench.introduce('left', bench.issue('left'), { neighbours: [['home', 0]] });
    expect(bench.knows('left')).toBe(false);
  });

  test('a sequence at the maximum locks nobody out: the origin goes on above it', () => {
    const network = chain('a', 'b');
    network.run(200);
    const record = makeRecord(network.identity('a'), {
      sequence: MAX_SEQUENCE,
      relay: false,
      issuedAtMs: network.wallMs,
    });
    network.node('b').handleMessage('a', encodeMessage({ kind: 'record', record }), network.nowMs, network.wallMs);
    network.run(12_000);
    expect(network.node('b').graph().transit('a')).toBe(true);
    expect(network.node('b').path('a').primary?.hops).toEqual(['a']);
  });

  test('a replayed old record changes nothing', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.introduce('left', far, { sequence: 1, relay: false });
    bench.giveRecord('left', makeRecord(far, { sequence: 2, relay: true }));
    bench.giveRecord('right', makeRecord(far, { sequence: 1, relay: false }));
    expect(bench.home.graph().transit('far')).toBe(true);
  });

  test("a third party cannot purge: there is no purge, and an old age needs the origin's signature", () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.introduce('left', far);
    bench.introduce('right', bench.issue('mallory'), {
      origin: 'far',
      sequence: 2,
      issuedAtMs: START_WALL_MS - MAX_AGE_MS,
    });
    expect(bench.knows('far')).toBe(true);
  });
});

function patched(bytes: Uint8Array, offset: number, value: number): Uint8Array {
  const copy = bytes.slice();
  const index = offset < 0 ? copy.length + offset : offset;
  copy[index] = copy[index] === value ? value ^ 1 : value;
  return copy;
}

function patchedWord(bytes: Uint8Array, offset: number, value: number): Uint8Array {
  const copy = bytes.slice();
  new DataView(copy.buffer).setUint32(offset, value);
  return copy;
}

function bodyOf(fields: Record<string, unknown>): Uint8Array {
  return encode({ neighbours: [], relay: true, draining: false, issuedAt: START_WALL_MS, ...fields });
}

function longBody(far: FakeIdentity): Uint8Array {
  const record = makeRecord(far, { body: bodyOf({ filler: 'x'.repeat(20_000) }) });
  const longer = concatBytes([record.subarray(0, 53), new Uint8Array(21 * 1024), record.subarray(-34)]);
  return patchedWord(longer, 49, 21 * 1024);
}
