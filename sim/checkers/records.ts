import { compareVersions, type Version } from '#mesh/linkstate/record.ts';
import type { NodeProcess } from '../host/node-process.ts';
import type { World } from '../world/world.ts';

/** What a process knew of each origin when it was last looked at. */
type Known = Map<string, Version>;

/** At every node, the records of each origin only ever grow newer. */
export class RecordChecker {
  readonly #world: World;
  readonly #known = new WeakMap<NodeProcess, Known>();
  recordsSeen = 0;

  constructor(world: World) {
    this.#world = world;
  }

  check(): void {
    for (const process of this.#world.running()) {
      const before = this.#known.get(process);
      const now: Known = new Map();
      for (const { origin, incarnation, sequence } of process.node.linkState.records()) {
        this.recordsSeen++;
        now.set(origin, { incarnation, sequence });
        const earlier = before?.get(origin);
        if (earlier !== undefined && compareVersions({ incarnation, sequence }, earlier) < 0)
          this.#world.report('SEQUENCE_FELL', `${process.name} went back to an older record of ${origin}`, [
            process.name,
            origin,
          ]);
      }
      this.#known.set(process, now);
    }
  }
}
