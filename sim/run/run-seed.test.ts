import { describe, expect, test } from 'vitest';
import { runSeed } from './run-seed.ts';
import { addTotals, findUnseen, type Totals } from './totals.ts';

/** A few of those that `npm run sim -- --seeds` runs by the hundred. */
const SEEDS = Array.from({ length: 16 }, (_, i) => i + 1);

describe('whole meshes from one seed', () => {
  test('no byte is wrong, no stream breaks, every connected pair finds its way again', () => {
    const totals: Totals = {};
    const failures: string[] = [];
    for (const seed of SEEDS) {
      const result = runSeed({ seed });
      addTotals(totals, result.totals);
      failures.push(...result.violations.map(({ code, detail }) => `seed ${seed}: ${code}: ${detail}`));
    }
    expect(failures).toEqual([]);
    expect(findUnseen(totals)).toEqual([]);
    expect(totals['virtualSeconds']).toBeGreaterThanOrEqual(30 * SEEDS.length);
  }, 60_000);

  test('the same seed gives the same run, bit for bit, and another seed another one', () => {
    const [once, again, other] = [3, 3, 4].map((seed) => runSeed({ seed, isRecording: true }));
    expect(again?.hash).toBe(once?.hash);
    expect(again?.events).toEqual(once?.events);
    expect(once?.events.length).toBeGreaterThan(1_000);
    expect(other?.hash).not.toBe(once?.hash);
  }, 60_000);

  test('every run has at least eight faults of three kinds and eight streams', () => {
    for (const seed of SEEDS.slice(0, 4)) {
      const { faults, totals } = runSeed({ seed });
      expect(totals['faults']).toBeGreaterThanOrEqual(8);
      expect(new Set(faults.map(({ kind }) => kind)).size).toBeGreaterThanOrEqual(3);
      expect(totals['streamsWanted']).toBeGreaterThanOrEqual(8);
    }
  }, 60_000);
});
