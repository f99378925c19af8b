import type { SeededRandom } from '#kernel/random.ts';
import type { StreamPlan } from '../applications/stream-plan.ts';
import { type MeshPlan, reachableIn } from '../world/mesh-plan.ts';
import { between, chance, pick, shuffled } from '../world/topologies.ts';
import { FAULT_KINDS, type Fault, type FaultKind } from './fault.ts';

/** How often each kind is chosen, against the others. */
const WEIGHTS: Readonly<Record<FaultKind, number>> = {
  kill: 4,
  'power-off': 3,
  freeze: 4,
  blackhole: 3,
  'one-way': 3,
  partition: 2,
  clog: 2,
  'slow-link': 2,
  'lossy-link': 1,
  'link-reset': 3,
  busy: 2,
  'clock-jump': 1,
  tamper: 2,
  forge: 1,
  revoke: 0.4,
};
const LEAST_FAULTS = 8;
const LEAST_KINDS = 3;
const MOST_FAULTS = 16;
/** A choice in vain is rare: this many are a mesh in which nothing can go wrong. */
const MAX_TRIES = 1_000;
const MAX_SKEW_MS = 300_000;
/** Less would end before anybody noticed. */
const LEAST_DURATION_MS = 200;
const LONGEST_DURATION_MS = 6_000;

/** What a schedule must leave alone. */
interface Spared {
  /** Ends of streams under judgement: they are disturbed, but not killed. */
  readonly ends: ReadonlySet<string>;
}

/** The ends of some of the streams are spared, so that these can be judged; the other nodes may die. */
export function sparedOf(streams: readonly StreamPlan[], mesh: MeshPlan): Spared {
  const ends = new Set<string>();
  for (const { from, to } of streams) {
    const isMoreThanHalf = new Set([...ends, from, to]).size > Math.max(2, mesh.members.length / 2);
    if (isMoreThanHalf) continue;
    ends.add(from);
    ends.add(to);
  }
  return { ends };
}

/** Faults between two times, all healed by `endMs`, in the order in which they begin. */
export function makeSchedule(
  mesh: MeshPlan,
  spared: Spared,
  [startMs, endMs]: readonly [number, number],
  random: SeededRandom,
): readonly Fault[] {
  const count = LEAST_FAULTS + (random.word() % (MOST_FAULTS - LEAST_FAULTS + 1));
  let faults: readonly Fault[] = [];
  const links = linksOf(mesh);
  for (let tries = 0; !isEnough(faults, count); tries++) {
    if (tries === MAX_TRIES) throw new Error(`only ${faults.length} faults can happen to this mesh`);
    const fault = makeFault(pickKind(random), mesh, links, spared, [startMs, endMs], random);
    if (fault !== undefined) faults = withFault(faults, fault, mesh);
  }
  return faults.toSorted((a, b) => a.atMs - b.atMs);
}

/** One node at most is revoked, and nothing else happens to it; so its faults give way to its revocation. */
function withFault(faults: readonly Fault[], fault: Fault, mesh: MeshPlan): readonly Fault[] {
  const [revoked] = faults.find(({ kind }) => kind === 'revoke')?.nodes ?? [];
  if (fault.kind !== 'revoke') return fault.nodes.includes(revoked ?? '') ? faults : [...faults, fault];
  const [leaving = ''] = fault.nodes;
  if (revoked !== undefined || !mayLeave(mesh, leaving)) return faults;
  return [...faults.filter(({ nodes }) => !nodes.includes(leaving)), fault];
}

/** Whether the others still reach each other without this node; asked of each, because one that does not relay reaches more than it joins. */
function mayLeave(mesh: MeshPlan, leaving: string): boolean {
  const others = mesh.members.map(({ name }) => name).filter((name) => name !== leaving);
  return others.every((from) => {
    const reached = reachableIn(mesh, from, leaving);
    return others.every((to) => reached.has(to));
  });
}

function isEnough(faults: readonly Fault[], count: number): boolean {
  return faults.length >= count && new Set(faults.map(({ kind }) => kind)).size >= LEAST_KINDS;
}

function pickKind(random: SeededRandom): FaultKind {
  const total = FAULT_KINDS.reduce((sum, kind) => sum + WEIGHTS[kind], 0);
  let luck = random.fraction() * total;
  for (const kind of FAULT_KINDS) {
    luck -= WEIGHTS[kind];
    if (luck < 0) return kind;
  }
  return 'kill';
}

function linksOf(mesh: MeshPlan): readonly (readonly [string, string])[] {
  if (mesh.links !== undefined) return mesh.links;
  const names = mesh.members.map(({ name }) => name);
  return names.flatMap((a, i) => names.slice(i + 1).map((b) => [a, b] as const));
}

function makeFault(
  kind: FaultKind,
  mesh: MeshPlan,
  links: readonly (readonly [string, string])[],
  { ends }: Spared,
  [startMs, endMs]: readonly [number, number],
  random: SeededRandom,
): Fault | undefined {
  const names = mesh.members.map(({ name }) => name);
  const expendable = names.filter((name) => !ends.has(name));
  const nodes = pickNodes(kind, names, expendable, links, random);
  if (nodes === undefined) return undefined;
  const atMs = between(random, startMs, endMs - LEAST_DURATION_MS);
  const longestMs = Math.min(LONGEST_DURATION_MS, endMs - atMs);
  const isShort = chance(random, 0.3);
  const durationMs = between(random, LEAST_DURATION_MS, isShort ? Math.min(longestMs, 700) : longestMs);
  return { kind, atMs, durationMs, nodes, amount: amountOf(kind, random) };
}

function pickNodes(
  kind: FaultKind,
  names: readonly string[],
  expendable: readonly string[],
  links: readonly (readonly [string, string])[],
  random: SeededRandom,
): readonly string[] | undefined {
  switch (kind) {
    case 'kill':
    case 'power-off':
    case 'forge':
      return expendable.length === 0 ? undefined : [pick(random, expendable)];
    case 'revoke':
      return expendable.length < 2 ? undefined : [pick(random, expendable)];
    case 'freeze':
      return [pick(random, expendable.length === 0 || chance(random, 0.15) ? names : expendable)];
    case 'busy':
    case 'clock-jump':
    case 'tamper':
      return [pick(random, names)];
    case 'partition': {
      const size = 1 + (random.word() % Math.max(1, names.length - 2));
      return shuffled(random, names).slice(0, size);
    }
    default: {
      const link = pick(random, links);
      return chance(random, 0.5) ? link : [link[1], link[0]];
    }
  }
}

function amountOf(kind: FaultKind, random: SeededRandom): number {
  switch (kind) {
    case 'clog':
      return between(random, 0.000_001, 0.001);
    case 'slow-link':
      return between(random, 20, 400);
    case 'lossy-link':
      return between(random, 0.02, 0.4);
    case 'busy':
      return between(random, 5, 60);
    case 'clock-jump':
      return between(random, -MAX_SKEW_MS, MAX_SKEW_MS);
    case 'tamper':
      return random.word() % 3;
    default:
      return 0;
  }
}
