import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '#kernel/random.ts';
import { FakeNetwork } from '#mesh/linkstate/fake-network.ts';
import type { LinkState } from '#mesh/linkstate/linkstate.ts';
import { sha256 } from '../../../tests/fixtures/diamond-net.ts';
import { chain } from '../../../tests/fixtures/linkstate-bench.ts';

function describeMesh(node: LinkState): unknown {
  const graph = node.graph();
  const names = [...graph.names()].sort();
  return names.map((name) => [name, graph.facts(name), [...graph.links(name)].sort(([a], [b]) => (a < b ? -1 : 1))]);
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
