import { runSeed } from './run-seed.ts';

/** Runs seeds until one fails, and says which: the child of `--mutants`. */
const [from = 1, count = 200] = process.argv.slice(2).map(Number);
let found: { readonly seed: number; readonly code: string; readonly detail: string } | undefined;
for (let seed = from; seed < from + count && found === undefined; seed++) {
  const [first] = runSeed({ seed }).violations;
  if (first !== undefined) found = { seed, code: first.code, detail: first.detail.split('\n')[0] ?? '' };
}
process.stdout.write(`${JSON.stringify(found ?? null)}\n`);
