import { parseArgs } from 'node:util';
import { formatEvent } from '../trace/trace.ts';
import { runConvergence } from './convergence.ts';
import { runMutants } from './mutants.ts';
import { describeFailure, describeMesh } from './report.ts';
import { runSeed } from './run-seed.ts';
import { runSeeds } from './run-seeds.ts';
import { addTotals, findUnseen, formatTotals, type Totals } from './totals.ts';

const USAGE = `npm run sim -- --seeds COUNT [--from SEED]   whole meshes from seeds, on all cores
npm run sim -- --seed SEED [--trace]         one of them, with its events
npm run sim -- --convergence NODES           how long routing needs after a link and a node failed
npm run sim -- --mutants [--only NAME]       planted bugs, each of which must be found`;
/** More failures than these say nothing new. */
const MAX_FAILURES = 10;
const MAX_DRAWN = 2;

async function simulateSeeds(from: number, count: number): Promise<boolean> {
  const totals: Totals = {};
  const failed: number[] = [];
  const startedMs = performance.now();
  await runSeeds(from, count, MAX_FAILURES, (report) => {
    addTotals(totals, report.totals);
    if (report.failures.length === 0) return;
    failed.push(report.seed);
    process.stdout.write(`seed ${report.seed}: ${report.failures[0]}\n`);
  });
  const tookSeconds = (performance.now() - startedMs) / 1000;
  for (const seed of failed.slice(0, MAX_DRAWN)) process.stdout.write(`\n${describeFailure(seed)}\n`);
  const unseen = findUnseen(totals);
  process.stdout.write(`${formatTotals(totals)}\n`);
  for (const name of unseen) process.stdout.write(`sim: nothing was seen of: ${name}\n`);
  const runs = totals['runs'] ?? 0;
  const rate = (runs / tookSeconds).toFixed(1);
  process.stdout.write(
    `sim: seeds ${from}..${from + count - 1}: ${runs - failed.length} passed, ${failed.length} failed in ${tookSeconds.toFixed(1)} s (${rate} a second)\n`,
  );
  return failed.length === 0 && unseen.length === 0 && runs === count;
}

function simulateOne(seed: number, isTracing: boolean): boolean {
  const result = runSeed({ seed, isRecording: isTracing });
  if (isTracing) for (const event of result.events) process.stdout.write(`${formatEvent(event)}\n`);
  process.stdout.write(`${describeMesh(result)}\n${formatTotals(result.totals)}\n`);
  process.stdout.write(`sim: seed ${seed}: trace hash ${result.hash}, ${result.violations.length} violations\n`);
  if (result.violations.length === 0) return true;
  process.stdout.write(`${describeFailure(seed)}\n`);
  return false;
}

function wholeNumber(text: string, least: number): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new Error(`${text} is not a whole number of ${least} or more\n${USAGE}`);
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      trace: { type: 'boolean', default: false },
      convergence: { type: 'string' },
      mutants: { type: 'boolean', default: false },
      only: { type: 'string' },
    },
  });
  if (values.seed !== undefined) return simulateOne(wholeNumber(values.seed, 0), values.trace);
  if (values.convergence !== undefined) return await runConvergence(wholeNumber(values.convergence, 5));
  if (values.mutants) return await runMutants(values.only);
  if (values.seeds !== undefined) return await simulateSeeds(wholeNumber(values.from, 0), wholeNumber(values.seeds, 1));
  process.stdout.write(`${USAGE}\n`);
  return false;
}

process.exitCode = (await main()) ? 0 : 1;
