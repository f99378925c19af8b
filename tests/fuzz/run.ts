import { parseArgs } from 'node:util';
import { fuzz, FuzzFailure } from './fuzz-run.ts';
import { TARGETS } from './targets.ts';

const USAGE = 'npm run fuzz -- [--seconds N] [--seed S] [--target NAME]';
const DEFAULT_SECONDS = 60;

function readOptions(): { readonly seconds: number; readonly seed: number; readonly target: string | undefined } {
  const { values } = parseArgs({
    options: { seconds: { type: 'string' }, seed: { type: 'string' }, target: { type: 'string' } },
  });
  const seconds = Number(values.seconds ?? DEFAULT_SECONDS);
  const seed = Number(values.seed ?? Date.now() % 2 ** 31);
  if (!(seconds > 0) || !Number.isSafeInteger(seed)) throw new RangeError(USAGE);
  return { seconds, seed, target: values.target };
}

async function main(): Promise<void> {
  const { seconds, seed, target } = readOptions();
  const chosen = TARGETS.filter(({ name }) => target === undefined || name === target);
  if (chosen.length === 0)
    throw new RangeError(`no such target; there are ${TARGETS.map(({ name }) => name).join(', ')}`);
  console.log(`seed ${seed}, ${seconds} s over ${chosen.length} targets`);
  for (const each of chosen) {
    const outcome = await fuzz(each, { seed, durationMs: (seconds * 1000) / chosen.length });
    const { inputs, accepted, refused, slowestMs } = outcome;
    console.log(
      `${each.name.padEnd(20)} ${inputs} inputs, ${accepted} accepted, ${refused} refused, slowest ${slowestMs.toFixed(1)} ms`,
    );
  }
}

try {
  await main();
} catch (error) {
  console.error(error instanceof FuzzFailure || error instanceof RangeError ? error.message : error);
  process.exitCode = 1;
}
