import type { SeededRandom } from '#kernel/random.ts';
import { type MeshPlan, reachableIn } from '../world/mesh-plan.ts';
import { between, chance, pick } from '../world/topologies.ts';

/** How one side writes: `everyMs` 0 is as fast as it may. */
export interface Pace {
  readonly chunkBytes: number;
  readonly everyMs: number;
}

/** How one side reads: at once, a little at a time, or not at all for a while. */
export interface Reading {
  readonly kind: 'eager' | 'slow' | 'late';
  readonly chunkBytes: number;
  readonly everyMs: number;
  /** `late`: begins so long after the stream was opened. */
  readonly afterMs: number;
}

/** One stream that an application wants. */
export interface StreamPlan {
  readonly id: number;
  readonly from: string;
  readonly to: string;
  readonly startMs: number;
  readonly upBytes: number;
  readonly downBytes: number;
  readonly pace: Pace;
  readonly reading: Reading;
  /** The client gives up after so many bytes sent; undefined: it does not. */
  readonly abortAtBytes: number | undefined;
}

const LONGEST_STREAM_BYTES = 500_000;
/** Long enough to meet several faults. */
const PACED_STREAM_MS = 16_000;

const EAGER: Reading = { kind: 'eager', chunkBytes: 0, everyMs: 0, afterMs: 0 };

/** Streams between random nodes: chatty ones that last, bulk, slow and late readers, some that are given up. */
export function planStreams(mesh: MeshPlan, startMs: number, random: SeededRandom): readonly StreamPlan[] {
  const count = 8 + (random.word() % 7);
  return Array.from({ length: count }, (_, id) =>
    planStream(id, pickEnds(mesh, random), startMs + between(random, 0, id < 6 ? 1_500 : 15_000), random),
  );
}

/** Two nodes between which there is a way when nothing is wrong. */
function pickEnds(mesh: MeshPlan, random: SeededRandom): readonly [string, string] {
  const from = pick(random, mesh.members).name;
  const others = [...reachableIn(mesh, from)].filter((name) => name !== from);
  return [from, pick(random, others)];
}

function planStream(
  id: number,
  [from, to]: readonly [string, string],
  startMs: number,
  random: SeededRandom,
): StreamPlan {
  const base = { id, from, to, startMs, reading: randomReading(random) };
  if (id === 0 || chance(random, 0.25)) {
    const upBytes = Math.ceil(between(random, 4, 40_000));
    const downBytes = Math.ceil(between(random, LONGEST_STREAM_BYTES / 8, LONGEST_STREAM_BYTES));
    return { ...base, upBytes, downBytes, pace: { chunkBytes: 16_384, everyMs: 0 }, abortAtBytes: undefined };
  }
  const chunkBytes = pick(random, [1, 64, 700, 1_400, 4_000, 9_000]);
  const everyMs = between(random, 30, 300);
  const chunks = Math.ceil(between(random, 0.4, 1) * (PACED_STREAM_MS / everyMs));
  const upBytes = 4 + chunks * chunkBytes;
  const downBytes = Math.floor(chunks * chunkBytes * pick(random, [0, 0.3, 1, 1]));
  const abortAtBytes = chance(random, 0.12) ? Math.ceil(upBytes * random.fraction()) : undefined;
  return { ...base, upBytes, downBytes, pace: { chunkBytes, everyMs }, abortAtBytes };
}

function randomReading(random: SeededRandom): Reading {
  const luck = random.fraction();
  if (luck < 0.7) return EAGER;
  if (luck < 0.9) return { kind: 'slow', chunkBytes: 20_000, everyMs: between(random, 20, 80), afterMs: 0 };
  return { kind: 'late', chunkBytes: 65_536, everyMs: 10, afterMs: between(random, 2_000, 9_000) };
}
