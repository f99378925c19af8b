import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { SeedReport } from './seed-worker.ts';

const PROGRESS_EVERY = 100;

/** Runs seeds `[from, from + count)` on all cores; stops early once `maxFailures` have failed. */
export async function runSeeds(
  from: number,
  count: number,
  maxFailures: number,
  handle: (report: SeedReport) => void,
): Promise<void> {
  const state = { next: from, done: 0, failed: 0 };
  const workers = Math.min(count, availableParallelism());
  const onReport = (report: SeedReport): void => {
    state.done++;
    if (report.failures.length > 0) state.failed++;
    handle(report);
    if (state.done % PROGRESS_EVERY === 0) process.stderr.write(`sim: ${state.done} of ${count} seeds\n`);
  };
  const next = (): number | undefined =>
    state.next < from + count && state.failed < maxFailures ? state.next++ : undefined;
  await Promise.all(Array.from({ length: workers }, () => runWorker(next, onReport)));
}

function runWorker(next: () => number | undefined, handle: (report: SeedReport) => void): Promise<void> {
  const worker = new Worker(new URL('./seed-worker.ts', import.meta.url));
  return new Promise((resolve, reject) => {
    const feed = (): void => {
      const seed = next();
      if (seed === undefined) void worker.terminate().then(() => resolve());
      else worker.postMessage(seed, []);
    };
    worker.on('message', (report: SeedReport) => {
      handle(report);
      feed();
    });
    worker.on('error', reject);
    feed();
  });
}
