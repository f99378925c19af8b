import { Worker } from 'node:worker_threads';
import { findSlowest, type FailureReport } from './failure-times.ts';

/** The bars of issue 3, in virtual milliseconds from the failure, its detection included. */
const SMALL_MESH_NODES = 100;
const SMALL_MESH_LIMIT_MS = 500;
const LARGE_MESH_LIMIT_MS = 1_000;
/** A thousand nodes hold a million records. */
const HEAP_MEBIBYTES = 14_000;

/** Fails links and nodes of a large mesh, one after the other, and says how long until every node routes around them. */
export async function runConvergence(nodes: number): Promise<boolean> {
  const limitMs = nodes <= SMALL_MESH_NODES ? SMALL_MESH_LIMIT_MS : LARGE_MESH_LIMIT_MS;
  const startedMs = performance.now();
  const reports = await measure(nodes);
  for (const { kind, victims, detectedMs, agreedMs } of reports)
    process.stdout.write(
      `${kind.padEnd(10)} ${victims.padEnd(14)} first detected after ${detectedMs.toFixed(1)} ms, all agree after ${agreedMs.toFixed(1)} ms\n`,
    );
  const slowest = findSlowest(reports);
  const tookSeconds = (performance.now() - startedMs) / 1000;
  const verdict = slowest.agreedMs <= limitMs ? 'passed' : 'FAILED';
  process.stdout.write(
    `sim: convergence of ${nodes} nodes: worst of ${reports.length} failures ${slowest.agreedMs.toFixed(1)} ms, ${slowest.repairMs.toFixed(1)} ms of it after the last detection; at most ${limitMs} ms: ${verdict} (${tookSeconds.toFixed(0)} s)\n`,
  );
  return slowest.agreedMs <= limitMs;
}

function measure(nodes: number): Promise<readonly FailureReport[]> {
  const worker = new Worker(new URL('./convergence-worker.ts', import.meta.url), {
    workerData: nodes,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MEBIBYTES },
  });
  return new Promise((resolve, reject) => {
    worker.once('message', (reports: readonly FailureReport[]) => resolve(reports));
    worker.once('error', reject);
  });
}
