import { expect, test } from 'vitest';
import { MAX_TOMBSTONES_PER_OPENER, Tombstones } from '#mesh/conduit/tombstones.ts';

const FINISHED = { code: 'CONDUIT_FINISHED' };
const DENIED = { code: 'POLICY_DENIED', decision: 'ab'.repeat(16) };

test('a tombstone stands for three minutes, or a quarter of one once its opener knows', () => {
  const tombstones = new Tombstones();
  tombstones.add('a', '1', FINISHED, 0);
  tombstones.add('a', '2', DENIED, 0);
  tombstones.confirm('a', '1', 1_000);
  tombstones.confirm('a', '3', 1_000);
  tombstones.confirm('b', '2', 1_000);
  tombstones.handleDeadline(15_000);
  expect(['1', '2', '3'].map((id) => tombstones.get('a', id))).toEqual([FINISHED, DENIED, undefined]);
  tombstones.handleDeadline(16_000);
  expect([tombstones.get('a', '1'), tombstones.get('a', '2')]).toEqual([undefined, DENIED]);
  tombstones.handleDeadline(180_000);
  expect(tombstones.get('a', '2')).toBeUndefined();
});

test('at the cap of an opener none gives way, and others are not concerned', () => {
  const tombstones = new Tombstones();
  for (let i = 0; i < MAX_TOMBSTONES_PER_OPENER; i++) tombstones.add('a', String(i), FINISHED, 0);
  expect([tombstones.isFull('a'), tombstones.isFull('b')]).toEqual([true, false]);
  expect(tombstones.get('a', '0')).toEqual(FINISHED);
  tombstones.handleDeadline(180_000);
  expect(tombstones.isFull('a')).toBe(false);
});
