import { setTimeout as pause } from 'node:timers/promises';
import { SeededRandom } from '#kernel/random.ts';
import { ChaosMesh } from './chaos-mesh.ts';
import { type Fault, type FaultKind, injectFault } from './faults.ts';
import { type FaultTimes, longestGaps, now } from './gaps.ts';
import type { Topology } from './topologies.ts';
import type { TrafficReport } from './traffic-child.ts';

interface CampaignPlan {
  readonly topology: Topology;
  /** Of the faults, in their order: {@link dealKinds}. */
  readonly kinds: readonly FaultKind[];
  readonly streams: number;
  readonly seed: number;
  /** Without namespaces: only what can be done to processes. */
  readonly isLocal: boolean;
  /** Told of each fault after it was healed. */
  onFault?(event: FaultEvent, index: number): void;
}

/** One fault of the history. */
export interface FaultEvent extends Fault, FaultTimes {
  /** Where in the way of the streams the relay stood: `first`, `middle`, `last`, `only`, or `unused`. */
  readonly position: string;
}

export interface CampaignResult {
  readonly events: readonly FaultEvent[];
  readonly report: TrafficReport;
  readonly moves: number;
  /** From the loss of a way to the first byte over the next, as the opener saw it: of the latest moves of each stream, in milliseconds. */
  readonly repairsMs: readonly number[];
  /** The longest that any stream waited because of each fault, in milliseconds; 0 where none waited noticeably. */
  readonly gapsMs: readonly number[];
}

/** How long a fault lasts. */
const HOLD_MS = 1_500;
const READY_TIMEOUT_MS = 30_000;
const POLL_MS = 50;

/**
 * Keeps byte-exact streams running between the ends of a mesh while faults hit its relays, one at a time, each when two disjoint ways
 * stand. Throws when the mesh does not recover between them.
 */
export async function runCampaign(plan: CampaignPlan): Promise<CampaignResult> {
  const random = new SeededRandom(plan.seed);
  const mesh = await ChaosMesh.start(plan.topology, plan.isLocal);
  const events: FaultEvent[] = [];
  try {
    await mesh.run(plan.streams);
    for (const [index, kind] of plan.kinds.entries()) {
      await awaitProtected(mesh);
      const event = await strike(mesh, plan, random, [index, kind]);
      events.push(event);
      plan.onFault?.(event, index);
    }
    await awaitProtected(mesh);
    const { streams } = await mesh.status(mesh.topology.ends[0]);
    const report = await mesh.finish();
    const moves = streams.reduce((sum, { moveCount }) => sum + moveCount, 0);
    const repairsMs = streams.flatMap((stream) => stream.moves.map(({ gapMs }) => gapMs));
    return { events, report, moves, repairsMs, gapsMs: longestGaps(events, report.gaps) };
  } finally {
    await mesh.stop();
  }
}

/** So many kinds at random, but none again before each was dealt as often: a few faults are of different kinds. */
export function dealKinds(kinds: readonly FaultKind[], count: number, random: SeededRandom): readonly FaultKind[] {
  const dealt: FaultKind[] = [];
  for (let left = [...kinds]; dealt.length < count; left = left.length === 0 ? [...kinds] : left) {
    const kind = pick(left, random);
    dealt.push(kind);
    left.splice(left.indexOf(kind), 1);
  }
  return dealt;
}

async function strike(
  mesh: ChaosMesh,
  plan: CampaignPlan,
  random: SeededRandom,
  [index, kind]: readonly [number, FaultKind],
): Promise<FaultEvent> {
  const inUse = await mesh.relaysInUse();
  const place = index % Math.max(1, inUse.length);
  const relay = inUse[place] ?? pick(plan.topology.relays, random);
  const neighbours = plan.topology.links.filter((pair) => pair.includes(relay)).map(([x, y]) => (x === relay ? y : x));
  const fault = { kind, relay, neighbour: pick(neighbours, random) };
  const atMs = now();
  const heal = injectFault(mesh, fault);
  await pause(HOLD_MS);
  await heal();
  return { ...fault, atMs, healedMs: now(), position: positionOf(place, inUse.length) };
}

function positionOf(place: number, count: number): string {
  if (count === 0) return 'unused';
  if (count === 1) return 'only';
  if (place === 0) return 'first';
  return place === count - 1 ? 'last' : 'middle';
}

async function awaitProtected(mesh: ChaosMesh): Promise<void> {
  const deadlineMs = now() + READY_TIMEOUT_MS;
  while (!(await mesh.isProtected())) {
    if (now() > deadlineMs) throw new Error(`no two ways again: ${JSON.stringify(await mesh.status('a'))}`);
    await pause(POLL_MS);
  }
}

function pick<T>(from: readonly T[], random: SeededRandom): T {
  const chosen = from[Math.floor(random.fraction() * from.length)];
  if (chosen === undefined) throw new Error('nothing to choose from');
  return chosen;
}
