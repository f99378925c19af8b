import { expect, test } from 'vitest';
import { CedarEvaluator } from './cedar-evaluator.ts';
import { warmUp } from './warm-up.ts';

const PERMIT = [{ id: 'all', text: 'permit(principal, action, resource);' }];
const NODE = { type: 'Node', id: 'a' };
const REQUEST = { principal: NODE, action: 'connect', resource: { type: 'Service', id: 's' }, context: {} };

test('an evaluator that was warmed up is in memory, decides as any, and leaves no thread behind', async () => {
  const evaluator = new CedarEvaluator();
  await warmUp(evaluator);
  expect(evaluator.isLoaded).toBe(true);
  expect(evaluator.evaluate(PERMIT, REQUEST, [])).toMatchObject({ allowed: true, policies: ['all'] });
  expect(process.getActiveResourcesInfo()).not.toContain('MessagePort');
});

test('an evaluator that is in use is not warmed up', async () => {
  const evaluator = new CedarEvaluator();
  evaluator.evaluate(PERMIT, REQUEST, []);
  const before = performance.now();
  await warmUp(evaluator);
  expect(performance.now() - before).toBeLessThan(50);
});
