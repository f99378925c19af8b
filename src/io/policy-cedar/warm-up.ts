import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { CedarEvaluator } from './cedar-evaluator.ts';
import { useOnce } from './sample-request.ts';

/** The worker evaluates one small policy. */
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 32, stackSizeMb: 1 };

/**
 * Has the evaluator ready before the first decision needs it. A thread of its own compiles what a decision runs through, some
 * 100 ms of it, and the engine shares compiled WebAssembly among the threads of a process; what is left for this thread is done
 * in turns of some milliseconds. Never rejects: what is not warm is slower once.
 */
export async function warmUp(evaluator: CedarEvaluator): Promise<void> {
  if (evaluator.isLoaded) return;
  const worker = new Worker(new URL('./warm-up-worker.ts', import.meta.url), { resourceLimits: RESOURCE_LIMITS });
  worker.unref();
  await new Promise((resolve) => worker.once('message', resolve).once('exit', resolve).once('error', resolve));
  evaluator.load();
  await nextTurn();
  useOnce(evaluator);
  await worker.terminate();
}
