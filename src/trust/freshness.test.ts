import { assert, integer, property } from 'fast-check';
import { expect, test } from 'vitest';
import { Freshness } from '#trust/freshness.ts';

const WALL_MS = 1_800_000_000_000;

test('what was believed is stale after its limit, and fresh again when it is signed anew', () => {
  const freshness = new Freshness(1_000);
  freshness.handleBelieved(WALL_MS, 0, WALL_MS);
  expect(freshness.isStale(1_000, WALL_MS + 1_000)).toBe(false);
  expect(freshness.isStale(1_001, WALL_MS + 1_001)).toBe(true);
  freshness.handleBelieved(WALL_MS + 1_001, 1_001, WALL_MS + 1_001);
  expect(freshness.isStale(1_500, WALL_MS + 1_500)).toBe(false);
});

test('without a snapshot everything is stale', () => {
  expect(new Freshness(1_000).isStale(0, WALL_MS)).toBe(true);
  expect(new Freshness(1_000).ageMs(0, WALL_MS)).toBeUndefined();
});

test('what lay on the disk is as old as its signature, not as its reading', () => {
  const freshness = new Freshness(1_000);
  freshness.handleBelieved(WALL_MS, 0, WALL_MS + 5_000);
  expect(freshness.isStale(0, WALL_MS + 5_000)).toBe(true);
});

test('a clock that is set back makes nothing younger, one that jumps ahead makes it older', () => {
  assert(
    property(integer({ min: -1e9, max: 1e9 }), integer({ min: 0, max: 1e9 }), (jumpMs, passedMs) => {
      const freshness = new Freshness(1_000);
      freshness.handleBelieved(WALL_MS, 0, WALL_MS);
      expect(freshness.ageMs(passedMs, WALL_MS + passedMs + jumpMs)).toBe(passedMs + Math.max(0, jumpMs));
    }),
  );
});

test('a snapshot of a clock that is ahead of ours is young at first and ages nevertheless', () => {
  const freshness = new Freshness(1_000);
  freshness.handleBelieved(WALL_MS + 600_000, 0, WALL_MS);
  expect(freshness.ageMs(0, WALL_MS)).toBe(0);
  expect(freshness.isStale(1_001, WALL_MS + 1_001)).toBe(true);
});
