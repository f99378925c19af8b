import { SeededRandom } from '#kernel/random.ts';
import type { FuzzTarget } from './fuzz-target.ts';
import { Mutator } from './mutator.ts';

interface FuzzBudget {
  readonly seed: number;
  readonly durationMs: number;
  /** Mutated inputs at most; the corpus is run in any case. */
  readonly most?: number;
}

interface FuzzOutcome {
  readonly target: string;
  readonly inputs: number;
  readonly accepted: number;
  readonly refused: number;
  /** Slowest input in milliseconds. */
  readonly slowestMs: number;
}

/** An input that broke a target: everything that is needed to see it again. */
export class FuzzFailure extends Error {
  override readonly name = 'FuzzFailure';

  constructor(target: string, seed: number, input: Uint8Array, cause: unknown) {
    const reason = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    super(`${target}, seed ${seed}, ${input.byteLength} bytes: ${input.toHex().slice(0, 4_000)}\n${reason}`, { cause });
  }
}

/** One input that takes longer than this is a failure: outside bytes must not buy processor time. */
const SLOW_MS = 2_000;

/** Runs the corpus and then mutations of it until the budget is spent. Rejects with {@link FuzzFailure}. */
export async function fuzz(target: FuzzTarget, budget: FuzzBudget): Promise<FuzzOutcome> {
  const corpus = await target.corpus();
  const mutator = new Mutator(new SeededRandom(budget.seed), corpus);
  const counts = { inputs: 0, accepted: 0, refused: 0, slowestMs: 0 };
  const endMs = performance.now() + budget.durationMs;
  try {
    for (const input of corpus) {
      if (!(await runOne(target, budget.seed, input, counts)))
        throw new FuzzFailure(target.name, budget.seed, input, new Error('the corpus is not valid'));
    }
    for (let index = 0; index < (budget.most ?? Infinity) && performance.now() < endMs; index++)
      await runOne(target, budget.seed, mutator.next(), counts);
  } finally {
    await target.close?.();
  }
  return { target: target.name, ...counts };
}

async function runOne(
  target: FuzzTarget,
  seed: number,
  input: Uint8Array,
  counts: { inputs: number; accepted: number; refused: number; slowestMs: number },
): Promise<boolean> {
  const startMs = performance.now();
  let isAccepted: boolean;
  try {
    const outcome = target.run(input);
    isAccepted = typeof outcome === 'boolean' ? outcome : await outcome;
  } catch (error) {
    throw new FuzzFailure(target.name, seed, input, error);
  }
  const tookMs = performance.now() - startMs;
  if (tookMs > SLOW_MS) throw new FuzzFailure(target.name, seed, input, new Error(`took ${Math.round(tookMs)} ms`));
  counts.inputs++;
  counts[isAccepted ? 'accepted' : 'refused']++;
  counts.slowestMs = Math.max(counts.slowestMs, tookMs);
  return isAccepted;
}
