import { SeededRandom } from '#kernel/random.ts';
import { planStreams, type StreamPlan } from '../applications/stream-plan.ts';
import { CircuitChecker } from '../checkers/circuits.ts';
import { checkLeaks } from '../checkers/leaks.ts';
import { checkProtocol } from '../checkers/protocol.ts';
import { NewsChecker } from '../checkers/news.ts';
import { RecordChecker } from '../checkers/records.ts';
import { findRoutingFault } from '../checkers/routing.ts';
import type { Fault } from '../faults/fault.ts';
import { Injector } from '../faults/injector.ts';
import { makeSchedule, sparedOf } from '../faults/schedule.ts';
import type { TraceEvent } from '../trace/trace.ts';
import type { MeshPlan } from '../world/mesh-plan.ts';
import { chance, randomMesh } from '../world/topologies.ts';
import { type Violation, World } from '../world/world.ts';

/** Streams begin when every node has had the time to find its neighbours. */
const STREAMS_FROM_MS = 3_000;
const FAULTS_FROM_MS = 4_000;
const FAULTS_UNTIL_MS = 24_000;
const LEAST_RUN_MS = 30_000;
const SAMPLE_MS = 500;
/** Dialling again backs off to 30 s, so a link may be that late after the last fault. */
const REPAIR_LIMIT_MS = 35_000;
/** What is known of links that do not change any more agrees with them after this; a forged record of one's own is outdone only after a pause. */
const ROUTING_LIMIT_MS = 3_000;
const ROUTING_LIMIT_AMONG_LIARS_MS = 12_000;
/** And streams that had nobody to talk to begin anew then. */
const FINISH_LIMIT_MS = 75_000;
/** What a stream leaves behind is gone after this. */
const SETTLE_MS = 4_000;
const START_SPREAD_MS = 800;
/** Of pairs of neighbours, those between which probes are blocked. */
const BLIND_SHARE = 0.05;

export interface SeedOptions {
  readonly seed: number;
  readonly isRecording?: boolean;
  /** In place of what the seed would choose: for named scenarios. */
  readonly mesh?: MeshPlan;
  readonly streams?: readonly StreamPlan[];
  readonly faults?: readonly Fault[];
}

/** What a run came to. */
export interface SeedResult {
  readonly seed: number;
  readonly hash: string;
  readonly mesh: MeshPlan;
  readonly faults: readonly Fault[];
  readonly violations: readonly Violation[];
  readonly totals: Readonly<Record<string, number>>;
  readonly events: readonly TraceEvent[];
}

/** Runs a whole mesh from one number, in virtual time: the same number gives the same run, bit for bit. */
export function runSeed(options: SeedOptions): SeedResult {
  const random = new SeededRandom(options.seed);
  const { mesh, streams, faults } = planSeed(options, random);
  const run = new SeedRun(new World({ seed: random.word(), plan: mesh, isRecording: options.isRecording ?? false }));
  for (const [a, b] of mesh.links ?? []) if (chance(random, BLIND_SHARE)) run.injector.detector.makeBlind(a, b);
  run.prepare(streams, faults);
  try {
    run.run();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    run.world.report('CRASH', error.stack ?? error.message);
  }
  const { world } = run;
  const { hash, events } = world.trace;
  return { seed: options.seed, hash, mesh, faults, violations: world.violations, totals: run.totals(), events };
}

/** What a seed chooses before anything runs. */
export function planSeed(
  options: SeedOptions,
  random: SeededRandom,
): { readonly mesh: MeshPlan; readonly streams: readonly StreamPlan[]; readonly faults: readonly Fault[] } {
  const mesh = options.mesh ?? randomMesh(random);
  const streams = options.streams ?? planStreams(mesh, STREAMS_FROM_MS, random);
  const span = [FAULTS_FROM_MS, FAULTS_UNTIL_MS] as const;
  const faults = options.faults ?? makeSchedule(mesh, sparedOf(streams, mesh), span, random);
  return { mesh, streams, faults };
}

class SeedRun {
  readonly world: World;
  readonly injector: Injector;
  readonly #circuits: CircuitChecker;
  readonly #records: RecordChecker;
  readonly #newsChecker: NewsChecker;
  #routableMs = 0;
  #abortsLost = 0;

  constructor(world: World) {
    this.world = world;
    this.injector = new Injector(world);
    this.#circuits = new CircuitChecker(world);
    this.#newsChecker = new NewsChecker(world, this.injector);
    this.#records = new RecordChecker(world, this.injector.liars);
  }

  prepare(streams: readonly StreamPlan[], faults: readonly Fault[]): void {
    this.world.start(START_SPREAD_MS);
    for (const plan of streams) this.world.traffic.want(plan);
    this.injector.schedule(faults);
  }

  run(): void {
    const { world, injector } = this;
    const healedMs = Math.max(injector.healedMs, FAULTS_FROM_MS);
    while (world.nowMs < healedMs) this.#step();
    this.#awaitRouting(healedMs);
    while (world.traffic.unfinished.size > 0 && world.nowMs < healedMs + FINISH_LIMIT_MS) this.#step();
    this.#reportUnfinished();
    const restMs = Math.max(SETTLE_MS, LEAST_RUN_MS - world.nowMs);
    for (let ms = 0; ms < restMs; ms += SAMPLE_MS) this.#step();
    this.#checkEnd();
  }

  /** Links may come late, because dialling backs off; once they stay as they are, everybody has to know it soon. */
  #awaitRouting(healedMs: number): void {
    const { world, injector } = this;
    const limitMs = injector.liars.size > 0 ? ROUTING_LIMIT_AMONG_LIARS_MS : ROUTING_LIMIT_MS;
    let fault = findRoutingFault(world);
    while (fault !== undefined && world.nowMs < healedMs + REPAIR_LIMIT_MS) {
      if (fault.kind !== 'link' && world.nowMs - Math.max(this.#newsChecker.sameSinceMs, healedMs) > limitMs) break;
      this.#step();
      fault = findRoutingFault(world);
    }
    this.#routableMs = world.nowMs - healedMs;
    if (fault !== undefined) world.report('NOT_ROUTABLE', fault.detail, fault.names);
  }

  #step(): void {
    this.world.run(SAMPLE_MS);
    this.#circuits.check();
    this.#records.check();
    this.#newsChecker.check();
  }

  #reportUnfinished(): void {
    const { traffic } = this.world;
    for (const { id, from, to } of traffic.unfinished) {
      const attempts = [...traffic.attempts.values()].filter(({ plan }) => plan.id === id);
      const last = attempts.at(-1);
      const ends = [last?.client, last?.server].map((end) => `${end?.sentBytes}/${end?.receivedBytes}`).join(' and ');
      const detail = `plan ${id} ${from} → ${to}, ${attempts.length} attempts, sent/received ${ends}`;
      this.world.report('STREAM_STUCK', detail, [from, to, ...(last?.client?.local.hops ?? [])]);
    }
  }

  #checkEnd(): void {
    const { world, injector } = this;
    const lingering = world.traffic.lingering();
    this.#abortsLost = lingering.length;
    // A reset reaches the other end, also one that was made while nothing connected the two.
    for (const { number, plan } of lingering)
      world.report('ABORT_LOST', `stream ${number} ${plan.from} → ${plan.to}`, [plan.from, plan.to]);
    checkProtocol(world, world.running(), injector.liars.size > 0);
    if (world.traffic.unfinished.size === 0) checkLeaks(world);
  }

  totals(): Record<string, number> {
    const { world, injector } = this;
    const kinds = [...injector.counts].map(([kind, count]) => [`fault ${kind}`, count] as const);
    const codes = [...world.traffic.brokenCodes].map(([code, count]) => [`broken ${code}`, count] as const);
    return {
      runs: 1,
      nodes: world.machines.size,
      virtualSeconds: world.nowMs / 1000,
      events: world.timeline.eventCount,
      faults: kinds.reduce((sum, [, count]) => sum + count, 0),
      ...world.traffic.totals,
      abortsLost: this.#abortsLost,
      detections: injector.detector.detections,
      liesTold: injector.liesTold,
      circuitsFollowed: this.#circuits.circuitsSeen,
      hopsFollowed: this.#circuits.hopsSeen,
      graphsCompared: this.#newsChecker.graphsSeen,
      recordsCompared: this.#records.recordsSeen,
      'repair ms, worst': this.#routableMs,
      ...Object.fromEntries([...kinds, ...codes]),
    };
  }
}
