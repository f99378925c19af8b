import type { Reading, StreamPlan } from '../applications/stream-plan.ts';
import type { Fault } from '../faults/fault.ts';
import type { SeedOptions } from '../run/run-seed.ts';
import type { MeshPlan } from '../world/mesh-plan.ts';

const EAGER: Reading = { kind: 'eager', chunkBytes: 0, everyMs: 0, afterMs: 0 };

/** Two ways from `a` to `d`: over `b` and over `c`. */
export const DIAMOND: MeshPlan = meshOf('diamond', [
  ['a', 'b'],
  ['a', 'c'],
  ['b', 'd'],
  ['c', 'd'],
]);

export const RING_OF_SIX: MeshPlan = meshOf('ring of six', [
  ['a', 'b'],
  ['b', 'c'],
  ['c', 'd'],
  ['d', 'e'],
  ['e', 'f'],
  ['f', 'a'],
]);

export const GRID_OF_NINE: MeshPlan = meshOf('grid of nine', [
  ['a', 'b'],
  ['b', 'c'],
  ['d', 'e'],
  ['e', 'f'],
  ['g', 'h'],
  ['h', 'i'],
  ['a', 'd'],
  ['b', 'e'],
  ['c', 'f'],
  ['d', 'g'],
  ['e', 'h'],
  ['f', 'i'],
]);

/** A chat of four thousand bytes each way, a little at a time, from the fourth second on; `changes` make it another. */
export function chat(from: string, to: string, changes: Partial<StreamPlan> = {}): StreamPlan {
  return {
    id: 0,
    from,
    to,
    startMs: 3_000,
    upBytes: 4_000,
    downBytes: 4_000,
    pace: { chunkBytes: 40, everyMs: 100 },
    reading: EAGER,
    abortAtBytes: undefined,
    ...changes,
  };
}

export function bulk(from: string, to: string, changes: Partial<StreamPlan> = {}): StreamPlan {
  return chat(from, to, { upBytes: 100, downBytes: 2_000_000, pace: { chunkBytes: 16_384, everyMs: 0 }, ...changes });
}

export function fault(
  kind: Fault['kind'],
  atMs: number,
  durationMs: number,
  nodes: readonly string[],
  amount = 0,
): Fault {
  return { kind, atMs, durationMs, nodes, amount };
}

export function scenario(
  mesh: MeshPlan,
  streams: readonly StreamPlan[],
  faults: readonly Fault[],
  options: Partial<SeedOptions> = {},
): SeedOptions {
  return { seed: 1, mesh, streams: streams.map((stream, id) => ({ ...stream, id })), faults, ...options };
}

function meshOf(shape: string, links: readonly (readonly [string, string])[]): MeshPlan {
  const names = [...new Set(links.flat())].toSorted();
  return { shape, links, members: names.map((name) => ({ name, relay: true })) };
}
