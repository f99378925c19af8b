import { ArgumentError, type OptionValues, oneOf, readArguments, wholeNumber } from '../../tests/harness/arguments.ts';
import { MUTANTS } from '../mutants/list.ts';
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
/** Of a smaller mesh nothing is left to agree. */
const LEAST_NODES = 5;
const OPTIONS = {
  seeds: { type: 'string' },
  from: { type: 'string' },
  seed: { type: 'string' },
  trace: { type: 'boolean' },
  convergence: { type: 'string' },
  mutants: { type: 'boolean' },
  only: { type: 'string' },
} as const;
const MODES = ['seeds', 'seed', 'convergence', 'mutants'] as const;
const PARTS = [
  ['from', 'seeds'],
  ['trace', 'seed'],
  ['only', 'mutants'],
] as const;

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

/** What was asked for: one of the four. */
function decide(values: OptionValues<typeof OPTIONS>): () => boolean | Promise<boolean> {
  const asked = MODES.filter((mode) => values[mode] !== undefined);
  if (asked.length !== 1)
    throw new ArgumentError(`exactly one of ${MODES.map((mode) => `--${mode}`).join(', ')} is needed`);
  for (const [option, mode] of PARTS)
    if (values[option] !== undefined && values[mode] === undefined)
      throw new ArgumentError(`--${option} goes with --${mode}`);
  if (values.seed !== undefined) {
    const seed = wholeNumber('seed', values.seed, 0);
    return () => simulateOne(seed, values.trace === true);
  }
  if (values.convergence !== undefined) {
    const nodes = wholeNumber('convergence', values.convergence, LEAST_NODES);
    return async () => await runConvergence(nodes);
  }
  if (values.seeds !== undefined) {
    const [from, count] = [wholeNumber('from', values.from ?? '1', 0), wholeNumber('seeds', values.seeds, 1)];
    return async () => await simulateSeeds(from, count);
  }
  const names = MUTANTS.map(({ name }) => name);
  const only = values.only === undefined ? undefined : oneOf('only', values.only, names);
  return async () => await runMutants(only);
}

const run = readArguments(USAGE, OPTIONS, decide);
process.exitCode = (await run()) ? 0 : 1;
