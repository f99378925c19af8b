import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CedarEvaluator } from '#io/policy-cedar/cedar-evaluator.ts';
import type { SnapshotBody } from '#trust/snapshot.ts';
import { bodyOf } from '../../../tests/fixtures/policies.ts';
import { PolicyWarmUp } from './policy-warm-up.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

function bodyWith(serviceAt: string, text = 'permit(principal, action, resource);'): SnapshotBody {
  const instances = [{ node: serviceAt, host: '127.0.0.1', port: 80, proxyProtocol: false }];
  const policies = text === '' ? [] : [{ id: 'all', text }];
  return { ...bodyOf([], policies), services: [{ name: 'web', instances }] };
}

async function isLoadedLater(isRelay: boolean, body: SnapshotBody): Promise<boolean> {
  const evaluator = new CedarEvaluator();
  const warming = new PolicyWarmUp(evaluator, 'rome', isRelay);
  const ready = vi.spyOn(warming, 'ready');
  warming.handleSnapshot(body);
  vi.advanceTimersByTime(10_000);
  await ready.mock.results[0]?.value;
  return evaluator.isLoaded;
}

describe('the evaluator', () => {
  test('is loaded in advance at a relay that has a service, and nowhere else', async () => {
    expect(await isLoadedLater(true, bodyWith('rome'))).toBe(true);
    expect(await isLoadedLater(true, bodyWith('oslo'))).toBe(false);
    expect(await isLoadedLater(false, bodyWith('rome'))).toBe(false);
    expect(await isLoadedLater(true, bodyWith('rome', ''))).toBe(false);
  });

  test('is loaded once for all that wait for it', async () => {
    const evaluator = new CedarEvaluator();
    const warming = new PolicyWarmUp(evaluator, 'rome', false);
    await warming.ready();
    expect(evaluator.isLoaded).toBe(false);
    warming.handleSnapshot(bodyWith('oslo'));
    await Promise.all([warming.ready(), warming.ready()]);
    expect(evaluator.isLoaded).toBe(true);
  });
});
