import type { Injector } from '../faults/injector.ts';
import type { World } from '../world/world.ts';
import { findGraphFault, linksKey, trueLinks } from './routing.ts';

/** What a change of links needs to go round, also where each node's records are limited to two a second. */
const NEWS_MS = 2_000;
/** Nodes that are slower than this by their processor are not judged by the clock. */
const MAX_SLOWNESS = 25;

/** Also among faults: links that stay as they are for a while are known to everybody whom news can reach. */
export class NewsChecker {
  readonly #world: World;
  readonly #injector: Injector;
  #key = '';
  sameSinceMs = 0;
  graphsSeen = 0;

  constructor(world: World, injector: Injector) {
    this.#world = world;
    this.#injector = injector;
  }

  check(): void {
    const world = this.#world;
    const links = trueLinks(world);
    const mute = muteLinks(world, links);
    const key = `${linksKey(world)} ${mute.join()}`;
    if (key !== this.#key) this.sameSinceMs = world.nowMs;
    this.#key = key;
    const calmMs = world.nowMs - Math.max(this.sameSinceMs, this.#injector.promptSinceMs);
    if (calmMs < NEWS_MS || mute.length > 0 || !this.#isJudged()) return;
    for (const process of world.running()) {
      this.graphsSeen++;
      const fault = findGraphFault(process, links);
      if (fault !== undefined) world.report('NEWS_LATE', fault.detail, fault.names);
    }
  }

  #isJudged(): boolean {
    const machines = [...this.#world.machines.values()];
    return this.#injector.liars.size === 0 && machines.every(({ slowness }) => slowness < MAX_SLOWNESS);
  }
}

/** Links that nobody has noticed to be cut, as one whose probes are blocked: no news comes over them. */
function muteLinks(world: World, links: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] {
  return [...links].flatMap(([a, peers]) =>
    [...peers].filter((b) => !world.network.isOpen(a, b)).map((b) => `${a}-${b}`),
  );
}
