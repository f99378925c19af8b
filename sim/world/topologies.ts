import type { SeededRandom } from '#kernel/random.ts';
import { type MeshMember, type MeshPlan, possibleLinks } from './mesh-plan.ts';

type Links = [string, string][];

/** Clocks are ten minutes apart at most: certificates are backdated by 15. */
const MAX_SKEW_MS = 300_000;
/** Chords added to a ring so that no two nodes are more than a few hops apart. */
const RING_WITHOUT_CHORDS = 9;
/** Above this every node links to all relays only where the shape says so. */
const LARGEST_FULL_MESH = 14;
/** Rows of a few nodes: more of them would be longer than a circuit may be. */
const LARGEST_LAYERS = 18;

/** A mesh of 5 to 50 nodes, mostly small ones, of one of the shapes that people build. */
export function randomMesh(random: SeededRandom): MeshPlan {
  const size = randomSize(random);
  const names = Array.from({ length: size }, (_, i) => `n${String(i + 1).padStart(2, '0')}`);
  const sparse = [ring, grid, tangle];
  const shapes =
    size <= LARGEST_FULL_MESH ? [...sparse, layers, automatic] : size <= LARGEST_LAYERS ? [...sparse, layers] : sparse;
  const shape = pick(random, shapes);
  const links = shape(names, random);
  const members = names.map((name): MeshMember => randomMember(name, links, random));
  if (links === undefined) return { shape: shape.name, members: withEdges(members, random), links };
  return { shape: shape.name, members: withoutCutOff(members, links), links };
}

export function pick<T>(random: SeededRandom, items: readonly T[]): T {
  const item = items[random.word() % items.length];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

export function between(random: SeededRandom, least: number, most: number): number {
  return least + random.fraction() * (most - least);
}

export function chance(random: SeededRandom, share: number): boolean {
  return random.fraction() < share;
}

export function shuffled<T>(random: SeededRandom, items: readonly T[]): T[] {
  const order = items.map((item) => ({ item, key: random.word() }));
  return order.toSorted((a, b) => a.key - b.key).map(({ item }) => item);
}

function randomSize(random: SeededRandom): number {
  const luck = random.fraction();
  if (luck < 0.8) return 5 + (random.word() % 6);
  if (luck < 0.97) return 11 + (random.word() % 8);
  return 19 + (random.word() % 32);
}

function randomMember(name: string, links: Links | undefined, random: SeededRandom): MeshMember {
  const isSkewed = chance(random, 0.15);
  const skewMs = isSkewed ? Math.round(between(random, -MAX_SKEW_MS, MAX_SKEW_MS)) : 0;
  const slowness = chance(random, 0.1) ? between(random, 2, 20) : 1;
  const isLeaf = links !== undefined && links.filter((pair) => pair.includes(name)).length <= 2 && chance(random, 0.2);
  const onlyCalled = links !== undefined && isLeaf && chance(random, 0.5);
  return { name, relay: !isLeaf, dialsOnly: onlyCalled, skewMs, slowness };
}

/** Half relays that link to each other, half nodes at their edge. */
function withEdges(members: readonly MeshMember[], random: SeededRandom): readonly MeshMember[] {
  return members.map((member, i) => {
    if (i < Math.max(3, members.length / 2)) return member;
    return { ...member, relay: false, dialsOnly: chance(random, 0.4) };
  });
}

/** As many of them dial only as leave all of them joined: two neighbours that only dial have no link. */
function withoutCutOff(members: readonly MeshMember[], links: Links): readonly MeshMember[] {
  let kept = members.map((member): MeshMember => ({ ...member, dialsOnly: false }));
  for (const { name } of members.filter(({ dialsOnly }) => dialsOnly)) {
    const tried = kept.map((member) => (member.name === name ? { ...member, dialsOnly: true } : member));
    if (areJoined(tried, links)) kept = tried;
  }
  return kept;
}

function areJoined(members: readonly MeshMember[], links: Links): boolean {
  const joined = new Set(members.slice(0, 1).map(({ name }) => name));
  const possible = possibleLinks({ shape: '', members, links });
  for (const name of joined)
    for (const pair of possible) if (pair.includes(name)) for (const each of pair) joined.add(each);
  return joined.size === members.length;
}

function automatic(): undefined {
  return undefined;
}

function ring(names: readonly string[], random: SeededRandom): Links {
  const links = names.map((name, i): [string, string] => [name, at(names, i + 1)]);
  if (names.length <= RING_WITHOUT_CHORDS) return links;
  for (let i = 0; i < names.length; i += 2) addLink(links, at(names, i), at(names, i + (names.length >> 1)));
  for (let i = 0; i < names.length; i += 3) addLink(links, at(names, i), at(names, i + (names.length >> 2)));
  for (let i = 0; i < names.length / 2; i++) addLink(links, pick(random, names), pick(random, names));
  return links;
}

function grid(names: readonly string[]): Links {
  const width = Math.ceil(Math.sqrt(names.length));
  const links: Links = [];
  names.forEach((name, i) => {
    const right = names[i + 1];
    const below = names[i + width];
    if (right !== undefined && (i + 1) % width !== 0) links.push([name, right]);
    if (below !== undefined) links.push([name, below]);
  });
  // A row that is cut short would leave its last node on one link.
  addLink(links, at(names, names.length - 1), at(names, 0));
  return links;
}

/** Rows of two or three, each joined to all of the next: a diamond when there are five. */
function layers(names: readonly string[], random: SeededRandom): Links {
  const rows: string[][] = [];
  const width = 2 + (random.word() % 2);
  for (let i = 0; i < names.length; i += width) rows.push(names.slice(i, i + width));
  const links: Links = [];
  rows.forEach((row, i) => {
    const next = rows[(i + 1) % rows.length] ?? [];
    for (const a of row) for (const b of next) addLink(links, a, b);
  });
  return links;
}

/** A tree, so that all are joined, and as many more links at random. */
function tangle(names: readonly string[], random: SeededRandom): Links {
  const links: Links = [];
  names.forEach((name, i) => {
    if (i > 0) addLink(links, name, at(names, random.word() % Math.min(i, 4)));
  });
  for (let i = 0; i < names.length; i++) addLink(links, pick(random, names), pick(random, names));
  return links;
}

function at(names: readonly string[], index: number): string {
  return names[index % names.length] ?? '';
}

function addLink(links: Links, a: string, b: string): void {
  if (a === b || links.some((pair) => pair.includes(a) && pair.includes(b))) return;
  links.push([a, b]);
}
