import { expect, test } from 'vitest';
import { PolicyIndex } from '#trust/policy/policy-index.ts';
import { PolicyReading } from '#trust/policy/policy-reading.ts';

const policies = Array.from({ length: 10 }, (_, at) => ({
  id: `p${at}`,
  text: `permit(principal, action, resource); // ${at}`,
}));

test('texts are read as far as there is time, some at least in each turn', () => {
  const reading = new PolicyReading(policies, new PolicyIndex([]));
  let turns = 0;
  while (!reading.isDone) {
    reading.handleTurn(() => true);
    turns++;
  }
  expect([turns, reading.scans.size]).toEqual([3, 10]);
});

test('what an index has read is taken over', () => {
  const known = new PolicyIndex(policies.slice(0, 9));
  const reading = new PolicyReading(policies, known);
  expect([reading.isDone, reading.scans.size]).toEqual([false, 9]);
  expect(reading.scans.get(policies[0]?.text ?? '')).toBe(known.scans().get(policies[0]?.text ?? ''));
  expect(new PolicyReading(policies.slice(0, 5), known).isDone).toBe(true);
});
