import { expect, test } from 'vitest';
import { SharedMemory } from '#io/shared-memory/shared-memory.ts';
import { describeSharedState } from '../../../tests/fixtures/shared-state-suite.ts';

let nowMs = 0;
describeSharedState({
  name: 'memory',
  open: async () => {
    const shared = new SharedMemory(() => nowMs);
    return [shared, shared];
  },
  pass: async (ms) => {
    nowMs += ms;
  },
  stop: async () => undefined,
});

test('a flood of keys does not grow without end, and what has ended goes first', async () => {
  const shared = new SharedMemory(() => nowMs);
  await shared.set('lasting', 'value', 1_000_000);
  for (let key = 0; key < 60_000; key++) await shared.set(`${key}`, 'value', 10);
  expect(await shared.get('59999')).toBe('value');
  expect(await shared.get('lasting')).toBeUndefined();
  nowMs += 20;
  await shared.set('lasting', 'value', 1_000_000);
  for (let key = 0; key < 40_000; key++) await shared.set(`${key}`, 'value', 10);
  expect(await shared.get('lasting')).toBe('value');
});
