import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Graph, MAX_LINK_COST } from '#topology/graph.ts';
import { disjointPair, MAX_HOPS, type Path, shortestPath } from '#topology/paths.ts';

interface Plan {
  readonly nodes: readonly { readonly name: string; readonly relay: boolean; readonly draining: boolean }[];
  readonly links: readonly (readonly [number, number, number])[];
}

function graphOf(plan: Plan): Graph {
  const graph = new Graph();
  for (const node of plan.nodes) graph.addNode(node.name, node);
  for (const [a, b, cost] of plan.links) {
    expect(graph.addLink(plan.nodes[a]?.name ?? '', plan.nodes[b]?.name ?? '', cost)).toBe(true);
  }
  return graph;
}

function relays(names: string, links: readonly string[]): Graph {
  const graph = new Graph();
  for (const name of names) graph.addNode(name, { relay: true, draining: false });
  for (const link of links) expect(graph.addLink(link[0] ?? '', link[1] ?? '', Number(link.slice(2)))).toBe(true);
  return graph;
}

interface Candidate extends Path {
  readonly drains: number;
}

function everyPath(graph: Graph, from: string, to: string): Candidate[] {
  const found: Candidate[] = [];
  const walk = (at: string, hops: readonly string[], cost: number, drains: number): void => {
    for (const [next, linkCost] of graph.links(at)) {
      if (next === from || hops.includes(next)) continue;
      if (next === to) found.push({ hops: [...hops, to], cost: cost + linkCost, drains });
      else if (graph.transit(next)) {
        walk(next, [...hops, next], cost + linkCost, drains + (graph.draining(next) ? 1 : 0));
      }
    }
  };
  walk(from, [], 0, 0);
  return found.filter((path) => path.hops.length <= MAX_HOPS).toSorted(order);
}

function order(a: Candidate, b: Candidate): number {
  const byNames = a.hops.join() < b.hops.join() ? -1 : 1;
  return a.drains - b.drains || a.cost - b.cost || a.hops.length - b.hops.length || byNames;
}

function disjoint(a: Path, b: Path): boolean {
  const inner = new Set(a.hops.slice(0, -1));
  return a.hops.join() !== b.hops.join() && b.hops.slice(0, -1).every((hop) => !inner.has(hop));
}

function sharedRelays(a: Path, b: Path): number {
  return a.hops.slice(0, -1).filter((hop) => b.hops.slice(0, -1).includes(hop)).length;
}

function weight(paths: readonly Candidate[]): number {
  return paths.reduce((sum, path) => sum + path.drains * 2 ** 23 + path.cost, 0);
}

function bestPair(all: readonly Candidate[]): readonly [Candidate, Candidate] | undefined {
  let best: readonly [Candidate, Candidate] | undefined;
  for (const a of all) {
    for (const b of all) {
      if (disjoint(a, b) && order(a, b) < 0 && (best === undefined || weight([a, b]) < weight(best))) best = [a, b];
    }
  }
  return best;
}

/** What is wrong with the answer, by enumeration of all paths; empty when it is right. */
function mistakes(graph: Graph, from: string, to: string): string[] {
  const all = everyPath(graph, from, to);
  const pair = disjointPair(graph, from, to);
  const [shortest] = all;
  if (shortestPath(graph, from, to)?.hops.join() !== shortest?.hops.join()) return ['not the shortest path'];
  if (shortest === undefined)
    return pair.primary === undefined && pair.backup === undefined ? [] : ['a path to nowhere'];
  const known = (path: Path | undefined) =>
    all.find((candidate) => candidate.hops.join() === path?.hops.join() && candidate.cost === path.cost);
  const primary = known(pair.primary);
  const backup = known(pair.backup);
  if (primary === undefined) return ['the primary is no path'];
  if (pair.backup !== undefined && backup === undefined) return ['the backup is no path'];
  const cheapest = bestPair(all);
  if (pair.protected !== (cheapest !== undefined)) return ['protected is wrong'];
  if (cheapest === undefined) return unprotectedMistakes(all, shortest, primary, backup);
  return backup === undefined ? ['no backup'] : protectedMistakes(all, cheapest, primary, backup);
}

function unprotectedMistakes(
  all: readonly Candidate[],
  shortest: Candidate,
  primary: Candidate,
  backup?: Candidate,
): string[] {
  const others = all.filter((path) => path !== shortest);
  if (primary !== shortest) return ['the primary is not the shortest'];
  if (backup === undefined) return others.length === 0 ? [] : ['a backup was missed'];
  const least = Math.min(...others.map((path) => sharedRelays(shortest, path)));
  return backup !== shortest && sharedRelays(shortest, backup) === least ? [] : ['the overlap is not the least'];
}

function protectedMistakes(
  all: readonly Candidate[],
  cheapest: readonly [Candidate, Candidate],
  primary: Candidate,
  backup: Candidate,
): string[] {
  const [shortest] = all;
  if (!disjoint(primary, backup) || order(primary, backup) > 0) return ['the pair is no pair in order'];
  const mate = all.find((path) => shortest !== undefined && disjoint(shortest, path));
  const drains = cheapest[0].drains + cheapest[1].drains;
  if (shortest !== undefined && mate !== undefined && shortest.drains + mate.drains <= drains) {
    return primary === shortest && backup === mate ? [] : ['the shortest path had a mate'];
  }
  return weight([primary, backup]) === weight(cheapest) ? [] : ['the pair is not the cheapest'];
}

describe('disjointPair', () => {
  test('agrees with brute force on every graph of five nodes with equal costs', () => {
    const pairs = 'abcde'
      .split('')
      .flatMap((_, a) => 'abcde'.split('').flatMap((_, b) => (a < b ? [[a, b] as const] : [])));
    let graphs = 0;
    for (let mask = 0; mask < 1 << pairs.length; mask++) {
      const links = pairs.filter((_, bit) => (mask >> bit) & 1).map(([a, b]) => [a, b, 1] as const);
      const nodes = 'abcde'.split('').map((name) => ({ name, relay: true, draining: false }));
      expect(mistakes(graphOf({ nodes, links }), 'a', 'e')).toEqual([]);
      graphs++;
    }
    expect(graphs).toBe(1024);
  });

  test('agrees with brute force on random graphs of six and seven nodes with draining ones and ones that do not relay', () => {
    const names = 'abcdefg'.split('');
    const node = fc.record({ relay: fc.integer({ min: 0, max: 4 }), draining: fc.integer({ min: 0, max: 3 }) });
    const cell = fc.option(fc.integer({ min: 1, max: 6 }));
    const plan = fc
      .record({
        size: fc.integer({ min: 2, max: 7 }),
        facts: fc.array(node, { minLength: 7, maxLength: 7 }),
        cells: fc.array(cell, { minLength: 21, maxLength: 21 }),
      })
      .map(({ size, facts, cells }): Plan => {
        const nodes = names
          .slice(0, size)
          .map((name, i) => ({ name, relay: (facts[i]?.relay ?? 0) > 0, draining: facts[i]?.draining === 0 }));
        const links: [number, number, number][] = [];
        let next = 0;
        for (let a = 0; a < 7; a++) {
          for (let b = a + 1; b < 7; b++) {
            const cost = cells[next++];
            if (cost !== null && cost !== undefined && a < size && b < size) links.push([a, b, cost]);
          }
        }
        return { nodes, links };
      });
    fc.assert(
      fc.property(plan, fc.integer({ min: 1, max: 6 }), (drawn, target) => {
        const to = names[Math.min(target, drawn.nodes.length - 1)] ?? 'b';
        expect(mistakes(graphOf(drawn), 'a', to)).toEqual([]);
      }),
      { numRuns: 3000 },
    );
  });

  test('gives up the shortest path where only another pair shares no relay', () => {
    const graph = relays('abcdef', ['ab1', 'bc1', 'cf1', 'ad2', 'dc2', 'be2', 'ef2']);
    expect(shortestPath(graph, 'a', 'f')?.hops).toEqual(['b', 'c', 'f']);
    const pair = disjointPair(graph, 'a', 'f');
    expect(pair).toEqual({
      primary: { hops: ['b', 'e', 'f'], cost: 5 },
      backup: { hops: ['d', 'c', 'f'], cost: 5 },
      protected: true,
    });
  });

  test('backs a direct link with the best path through relays', () => {
    const graph = relays('abc', ['ab5', 'ac1', 'cb1']);
    expect(disjointPair(graph, 'a', 'b')).toEqual({
      primary: { hops: ['c', 'b'], cost: 2 },
      backup: { hops: ['b'], cost: 5 },
      protected: true,
    });
  });

  test('is unprotected where every path runs through one relay, and names the path that shares least', () => {
    const graph = relays('abcde', ['ab1', 'bc1', 'bd1', 'ce1', 'de2']);
    const pair = disjointPair(graph, 'a', 'e');
    expect(pair).toEqual({
      primary: { hops: ['b', 'c', 'e'], cost: 3 },
      backup: { hops: ['b', 'd', 'e'], cost: 4 },
      protected: false,
    });
    expect(disjointPair(relays('abc', ['ab1', 'bc1']), 'a', 'c')).toEqual({
      primary: { hops: ['b', 'c'], cost: 2 },
      protected: false,
    });
  });

  test('has nothing to say about unknown nodes or a node itself', () => {
    const graph = relays('ab', ['ab1']);
    expect(disjointPair(graph, 'a', 'z')).toEqual({ protected: false });
    expect(disjointPair(graph, 'z', 'a')).toEqual({ protected: false });
    expect(disjointPair(graph, 'a', 'a')).toEqual({ protected: false });
  });

  test('finds a pair within eight hops by hops where the cheapest pair is longer', () => {
    const graph = relays('abcdefghijz', [
      'ab1',
      'bc1',
      'cd1',
      'de1',
      'ef1',
      'fg1',
      'gh1',
      'hi1',
      'iz1',
      'bz90',
      'ij90',
      'aj90',
      'ai90',
      'jz95',
    ]);
    const pair = disjointPair(graph, 'a', 'z');
    expect(pair.protected).toBe(true);
    for (const path of [pair.primary, pair.backup]) expect(path?.hops.length).toBeLessThanOrEqual(MAX_HOPS);
  });
});

describe('shortestPath', () => {
  test('takes a dearer way of eight hops where the cheapest has nine', () => {
    const chain = ['ab1', 'bc1', 'cd1', 'de1', 'ef1', 'fg1', 'gh1', 'hi1', 'ij1'];
    expect(shortestPath(relays('abcdefghij', chain), 'a', 'j')).toBeUndefined();
    expect(shortestPath(relays('abcdefghij', chain), 'a', 'i')?.hops).toHaveLength(8);
    expect(shortestPath(relays('abcdefghij', [...chain, 'ce7', 'eh9']), 'a', 'j')).toEqual({
      hops: ['b', 'c', 'e', 'f', 'g', 'h', 'i', 'j'],
      cost: 14,
    });
  });

  test('goes around a draining relay at any price, and through it where there is no other way', () => {
    const graph = relays('adx', ['ax1']);
    graph.addNode('b', { relay: true, draining: true });
    graph.addNode('c', { relay: true, draining: false });
    graph.addLink('x', 'b', 1);
    graph.addLink('b', 'd', 1);
    expect(shortestPath(graph, 'a', 'd')?.hops).toEqual(['x', 'b', 'd']);
    graph.addLink('x', 'c', MAX_LINK_COST);
    graph.addLink('c', 'd', MAX_LINK_COST);
    expect(shortestPath(graph, 'a', 'd')?.hops).toEqual(['x', 'c', 'd']);
    expect(shortestPath(graph, 'a', 'b')?.hops).toEqual(['x', 'b']);
  });

  test('settles ties by fewer hops, then by the lowest names, whatever the order of insertion', () => {
    const links = ['ab1', 'bz1', 'ac1', 'cz1', 'az3'];
    expect(shortestPath(relays('abcz', links), 'a', 'z')?.hops).toEqual(['b', 'z']);
    expect(shortestPath(relays('zcba', links.toReversed()), 'a', 'z')?.hops).toEqual(['b', 'z']);
    expect(shortestPath(relays('abcz', ['ab1', 'bz1', 'az2']), 'a', 'z')?.hops).toEqual(['z']);
  });

  test('copes with a thousand nodes', () => {
    const graph = new Graph();
    for (let i = 0; i < 1000; i++) graph.addNode(`n${i}`, { relay: i % 4 !== 3, draining: false });
    for (let i = 0; i < 1000; i++)
      for (const step of [1, 7, 61, 333]) graph.addLink(`n${i}`, `n${(i + step) % 1000}`, 1 + ((i * step) % 97));
    const pair = disjointPair(graph, 'n0', 'n394');
    expect(pair.protected).toBe(true);
  });
});

describe('Graph', () => {
  test('refuses links of unknown nodes, of a node with itself and of costs out of range', () => {
    const graph = relays('ab', []);
    const refused: [string, string, number][] = [
      ['a', 'z', 1],
      ['a', 'a', 1],
      ['a', 'b', 0],
      ['a', 'b', MAX_LINK_COST + 1],
      ['a', 'b', 1.5],
      ['a', 'b', Number.NaN],
    ];
    for (const [a, b, cost] of refused) expect(graph.addLink(a, b, cost)).toBe(false);
    expect(graph.links('a').size).toBe(0);
    expect(graph.addLink('a', 'b', MAX_LINK_COST)).toBe(true);
  });
});
