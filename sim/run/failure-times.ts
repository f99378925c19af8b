import { SeededRandom } from '#kernel/random.ts';
import type { Graph } from '#topology/graph.ts';
import type { NodeProcess } from '../host/node-process.ts';
import { Injector } from '../faults/injector.ts';
import type { MeshPlan } from '../world/mesh-plan.ts';
import { pick } from '../world/topologies.ts';
import { World } from '../world/world.ts';

/** How long one failure took. Times are virtual milliseconds since it happened. */
export interface FailureReport {
  readonly kind: 'link' | 'node';
  readonly victims: string;
  readonly detectedMs: number;
  /** Until no node's graph holds what failed. */
  readonly agreedMs: number;
  /** From the last end's detection to agreement. */
  readonly repairMs: number;
}

const CHORDS_PER_NODE = 2;
/** A failure in a small mesh is cheap to repeat. */
const FAILURES_OF_SMALL = 10;
const FAILURES_OF_LARGE = 3;
const LARGE_NODES = 300;
const STEP_MS = 2;
const START_LIMIT_MS = 60_000;
const GIVE_UP_MS = 10_000;
/** Between failures: more than what a node's records are limited to in a burst needs to be allowed again. */
const REST_MS = 2_000;

/** Starts a mesh, fails links and nodes in turn, silently, and measures until all routing agrees. */
export function measureFailures(nodes: number, seed: number): readonly FailureReport[] {
  const random = new SeededRandom(seed);
  const world = new World({ seed: random.word(), plan: sparseMesh(nodes, random) });
  const injector = new Injector(world);
  world.start(20);
  waitUntilWhole(world);
  const count = nodes >= LARGE_NODES ? FAILURES_OF_LARGE : FAILURES_OF_SMALL;
  return Array.from({ length: count }, (_, i) => {
    world.run(REST_MS);
    return i % 2 === 0 ? failLink(world, injector, random) : failNode(world, injector, random);
  });
}

export function findSlowest(reports: readonly FailureReport[]): {
  readonly agreedMs: number;
  readonly repairMs: number;
} {
  return {
    agreedMs: Math.max(...reports.map(({ agreedMs }) => agreedMs)),
    repairMs: Math.max(...reports.map(({ repairMs }) => repairMs)),
  };
}

/** A ring with random chords: six links a node, a few hops across. */
function sparseMesh(count: number, random: SeededRandom): MeshPlan {
  const names = Array.from({ length: count }, (_, i) => `n${String(i + 1).padStart(4, '0')}`);
  const keys = new Set<string>();
  const add = (a: string, b: string): void => {
    if (a !== b) keys.add(a < b ? `${a} ${b}` : `${b} ${a}`);
  };
  names.forEach((name, i) => {
    add(name, names[(i + 1) % count] ?? '');
    for (let chord = 0; chord < CHORDS_PER_NODE; chord++) add(name, pick(random, names));
  });
  const links = [...keys].map((key) => key.split(' ') as [string, string]);
  return { shape: 'sparse', members: names.map((name) => ({ name, relay: true })), links };
}

function waitUntilWhole(world: World): void {
  const isWhole = (process: NodeProcess): boolean => {
    const graph = process.node.linkState.graph();
    return (world.plan.links ?? []).every(([a, b]) => graph.links(a).has(b));
  };
  const waiting = [...world.running()];
  while (world.nowMs < START_LIMIT_MS) {
    world.run(100);
    if (waiting.length === 0) waiting.push(...world.running());
    popWhile(waiting, isWhole);
    if (waiting.length === 0 && world.running().length === world.machines.size) return;
  }
  throw new Error(`the mesh is not whole after ${world.nowMs} ms`);
}

function failLink(world: World, injector: Injector, random: SeededRandom): FailureReport {
  const alive = (world.plan.links ?? []).filter(
    ([a, b]) => isUp(world, a) && isUp(world, b) && world.network.isOpen(a, b),
  );
  const [a, b] = pick(random, alive);
  return fail(world, injector, 'link', [a, b], (graph) => !graph.links(a).has(b));
}

function failNode(world: World, injector: Injector, random: SeededRandom): FailureReport {
  const name = pick(
    random,
    [...world.machines.keys()].filter((each) => isUp(world, each)),
  );
  return fail(world, injector, 'node', [name], (graph) => graph.links(name).size === 0);
}

function isUp(world: World, name: string): boolean {
  return world.machine(name).running !== undefined;
}

function fail(
  world: World,
  injector: Injector,
  kind: 'link' | 'node',
  nodes: readonly string[],
  isRight: (graph: Graph) => boolean,
): FailureReport {
  const failedMs = world.nowMs;
  const faultKind = kind === 'link' ? 'blackhole' : 'power-off';
  injector.schedule([{ kind: faultKind, atMs: failedMs, durationMs: Number.MAX_SAFE_INTEGER, nodes, amount: 0 }]);
  world.run(0);
  const detections = injector.detector.detections;
  let detectedMs = 0;
  let lastDetectedMs = 0;
  let seen = detections;
  const waiting = [...world.running()];
  while (waiting.length > 0 && world.nowMs - failedMs < GIVE_UP_MS) {
    world.run(STEP_MS);
    if (injector.detector.detections > seen) lastDetectedMs = world.nowMs;
    if (seen === detections && lastDetectedMs > 0) detectedMs = lastDetectedMs;
    seen = injector.detector.detections;
    popWhile(waiting, (process) => isRight(process.node.linkState.graph()));
  }
  const agreedMs = waiting.length > 0 ? Number.POSITIVE_INFINITY : world.nowMs - failedMs;
  return {
    kind,
    victims: nodes.join('–'),
    detectedMs: detectedMs - failedMs,
    agreedMs,
    repairMs: agreedMs - (lastDetectedMs - failedMs),
  };
}

/** Looks at as few graphs as possible: making one is the dearest thing here. */
function popWhile(waiting: NodeProcess[], isDone: (process: NodeProcess) => boolean): void {
  for (let last = waiting.at(-1); last !== undefined && isDone(last); last = waiting.at(-1)) waiting.pop();
}
