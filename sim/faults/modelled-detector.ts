import type { SeededRandom } from '#kernel/random.ts';
import type { World } from '../world/world.ts';

/** What src/mesh/detector takes with the `normal` profile: 100 ms × 3, and what its timers and threads add. */
const LEAST_DETECTION_MS = 300;
const LONGEST_DETECTION_MS = 350;

/**
 * Stands for the probes between neighbours, which are not simulated: a link over which nothing passes in one direction, or whose other end is frozen or
 * without power, is declared down at every end that can notice.
 */
export class ModelledDetector {
  readonly #world: World;
  readonly #random: SeededRandom;
  /** Pairs between which probes are blocked: there the pings in band are all there is. */
  readonly #blind = new Set<string>();
  detections = 0;

  constructor(world: World, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
  }

  makeBlind(a: string, b: string): void {
    this.#blind.add(keyOf(a, b));
  }

  /** Something happened that probes between these two may not survive. */
  suspect(a: string, b: string): void {
    if (this.#blind.has(keyOf(a, b))) return;
    const sinceMs = this.#world.nowMs;
    const span = LONGEST_DETECTION_MS - LEAST_DETECTION_MS;
    const afterMs = LEAST_DETECTION_MS + span * this.#random.fraction();
    this.#world.timeline.after(afterMs, () => {
      if (this.#brokenSinceMs(a, b) > sinceMs) return;
      this.detections++;
      for (const [at, peer] of [
        [a, b],
        [b, a],
      ] as const)
        this.#world.machine(at).running?.links.lose(peer, 'LINK_SILENT');
    });
  }

  /** Since when no probe can make the round; infinite when it can. */
  #brokenSinceMs(a: string, b: string): number {
    const { network } = this.#world;
    const [left, right] = [this.#world.machine(a), this.#world.machine(b)];
    const reasons = [
      network.direction(a, b).blockedSinceMs,
      network.direction(b, a).blockedSinceMs,
      left.frozenSinceMs,
      right.frozenSinceMs,
      left.offSinceMs,
      right.offSinceMs,
    ];
    return Math.min(...reasons.map((sinceMs) => sinceMs ?? Number.POSITIVE_INFINITY));
  }
}

function keyOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
