import type { RecordSummary } from '#mesh/linkstate/ports.ts';
import { compareVersions } from '#mesh/linkstate/record.ts';
import type { NodeProcess } from '../host/node-process.ts';
import type { World } from '../world/world.ts';

type Known = ReadonlyMap<string, RecordSummary>;

/**
 * At every node, the records of each origin only ever grow newer, none is newer than what its origin has made, and only links
 * that both ends report are believed.
 */
export class RecordChecker {
  readonly #world: World;
  readonly #liars: ReadonlySet<string>;
  readonly #known = new WeakMap<NodeProcess, Known>();
  recordsSeen = 0;

  /** `liars` sign records beside those that their node makes. */
  constructor(world: World, liars: ReadonlySet<string>) {
    this.#world = world;
    this.#liars = liars;
  }

  check(): void {
    const all = new Map<string, Known>();
    for (const process of this.#world.running())
      all.set(process.name, new Map(process.node.linkState.records().map((record) => [record.origin, record])));
    for (const process of this.#world.running()) {
      const now = all.get(process.name) ?? new Map();
      this.recordsSeen += now.size;
      this.#compareWithEarlier(process, now);
      this.#compareWithOrigins(process, now, all);
      this.#checkGraph(process, now);
      this.#known.set(process, now);
    }
  }

  #compareWithEarlier(process: NodeProcess, now: Known): void {
    const before = this.#known.get(process);
    for (const [origin, record] of now) {
      const earlier = before?.get(origin);
      if (earlier !== undefined && compareVersions(record, earlier) < 0)
        this.#report('SEQUENCE_FELL', `${process.name} went back to an older record of ${origin}`, [
          process.name,
          origin,
        ]);
    }
  }

  /** In its present life an origin knows all that it made. */
  #compareWithOrigins(process: NodeProcess, now: Known, all: ReadonlyMap<string, Known>): void {
    for (const [origin, record] of now) {
      const own = all.get(origin)?.get(origin);
      if (own === undefined || this.#liars.has(origin) || own.incarnation !== record.incarnation) continue;
      if (record.sequence > own.sequence)
        this.#report('RECORD_FORGED', `${process.name} holds what ${origin} never said`, [process.name, origin]);
    }
  }

  #checkGraph(process: NodeProcess, now: Known): void {
    const graph = process.node.linkState.graph();
    for (const [origin] of now) {
      if (origin === process.name) continue;
      for (const peer of graph.links(origin).keys()) {
        if (peer === process.name || (this.#says(now, peer, origin) && this.#says(now, origin, peer))) continue;
        this.#report('LINK_ONE_SIDED', `${process.name} believes in ${origin}–${peer}`, [process.name, origin, peer]);
      }
    }
  }

  #says(now: Known, origin: string, peer: string): boolean {
    return now.get(origin)?.neighbours.some(({ name }) => name === peer) === true;
  }

  #report(code: string, detail: string, names: readonly string[]): void {
    this.#world.report(code, detail, names);
  }
}
