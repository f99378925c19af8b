import { expect, test } from 'vitest';
import { SeededRandom } from '#kernel/random.ts';
import { reachableIn } from '../world/mesh-plan.ts';
import { planSeed } from '../run/run-seed.ts';

const PLANS = Array.from({ length: 3_000 }, (_, i) => planSeed({ seed: i + 1 }, new SeededRandom(i + 1)));
const SCHEDULES = PLANS.map(({ faults }) => faults);

test('every seed has at least eight faults of three kinds', () => {
  const poor = SCHEDULES.flatMap((faults, i) => {
    const kinds = new Set(faults.map(({ kind }) => kind)).size;
    return faults.length >= 8 && kinds >= 3 ? [] : `seed ${i + 1}: ${faults.length} faults of ${kinds} kinds`;
  });
  expect(poor).toEqual([]);
});

test('nothing else happens to a node that is revoked, and one at most is', () => {
  let seen = 0;
  for (const faults of SCHEDULES) {
    const revocations = faults.filter(({ kind }) => kind === 'revoke');
    expect(revocations.length).toBeLessThanOrEqual(1);
    seen += revocations.length;
    for (const { nodes } of revocations)
      expect(faults.filter((fault) => fault.nodes.some((name) => nodes.includes(name)))).toHaveLength(1);
  }
  expect(seen).toBeGreaterThan(100);
});

test('whoever is revoked, the ends of every stream between others still reach each other', () => {
  let judged = 0;
  for (const { mesh, streams, faults } of PLANS) {
    const gone = faults.find(({ kind }) => kind === 'revoke')?.nodes[0];
    if (gone === undefined) continue;
    for (const { from, to } of streams.filter((stream) => stream.from !== gone && stream.to !== gone)) {
      expect(reachableIn(mesh, from, gone).has(to)).toBe(true);
      judged++;
    }
  }
  expect(judged).toBeGreaterThan(500);
});

test('faults begin in the order in which they are listed', () => {
  for (const faults of SCHEDULES) expect(faults).toEqual(faults.toSorted((a, b) => a.atMs - b.atMs));
});
