import { parentPort } from 'node:worker_threads';
import { runSeed } from './run-seed.ts';

/** What the main thread is told of a seed. */
export interface SeedReport {
  readonly seed: number;
  readonly hash: string;
  readonly failures: readonly string[];
  readonly totals: Readonly<Record<string, number>>;
}

parentPort?.on('message', (seed: number) => {
  const { hash, violations, totals } = runSeed({ seed });
  const failures = violations.map(({ code, detail }) => `${code}: ${detail}`);
  parentPort?.postMessage({ seed, hash, failures, totals } satisfies SeedReport, []);
});
