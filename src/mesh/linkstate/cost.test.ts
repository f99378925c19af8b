import { expect, test } from 'vitest';
import { LinkCost } from '#mesh/linkstate/cost.ts';
import { MAX_LINK_COST } from '#topology/graph.ts';

test('a cost is the round trip in hundredths of a millisecond, rounded up to its class', () => {
  expect(new LinkCost(0.1).cost).toBe(50);
  expect(new LinkCost(0.5).cost).toBe(50);
  expect(new LinkCost(10).cost).toBeGreaterThanOrEqual(1000);
  expect(new LinkCost(10).cost).toBeLessThanOrEqual(1500);
  expect(new LinkCost(undefined).cost).toBe(new LinkCost(10).cost);
});

test('a cost stays within its bounds for any measurement', () => {
  for (const rttMs of [0, -1, 1e-9, 1e9, Infinity, Number.NaN]) {
    const { cost } = new LinkCost(rttMs);
    expect(Number.isSafeInteger(cost) && cost >= 1 && cost <= MAX_LINK_COST).toBe(true);
  }
});

test('a cost does not follow what stays near its class, and follows what leaves it', () => {
  const link = new LinkCost(1);
  const { cost } = link;
  for (const rttMs of [1.1, 1.3, 0.7, 1.4]) expect(link.handleRtt(rttMs)).toBe(false);
  expect(link.cost).toBe(cost);
  expect(link.handleRtt(3)).toBe(true);
  expect(link.cost).toBeGreaterThan(cost);
  expect(link.handleRtt(0.2)).toBe(true);
  expect(link.cost).toBe(50);
  expect(link.handleRtt(0.3)).toBe(false);
});
