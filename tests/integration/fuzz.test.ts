import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fuzz } from '../fuzz/fuzz-run.ts';
import { TARGETS } from '../fuzz/targets.ts';

const SEED = 20_261_122;
/** About ten seconds in all; `npm run fuzz` goes on for as long as it is told. */
const TARGET_MS = 400;

describe('a short run of the fuzzer', () => {
  test('has every target that there is a file for', () => {
    const files = readdirSync(join(import.meta.dirname, '../fuzz/targets'));
    expect(files.length).toBeGreaterThan(20);
    expect(TARGETS.map(({ name }) => `${name}.ts`).toSorted()).toEqual(files.toSorted());
  });

  test.each(TARGETS.map((target) => [target.name, target] as const))('finds nothing in %s', async (_name, target) => {
    const outcome = await fuzz(target, { seed: SEED, durationMs: TARGET_MS });
    expect(outcome.accepted).toBeGreaterThan(0);
    expect(outcome.inputs).toBeGreaterThan(20);
  });
});
