import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { CedarEvaluator } from '#io/policy-cedar/cedar-evaluator.ts';
import { bodyOf, memberOf } from '../../../tests/fixtures/policies.ts';
import { NodePolicy } from './node-policy.ts';

const MINUTE_MS = 60_000;
const UNTIL_TEN = 'permit(principal, action, resource) when { context.minuteOfDay < 600 };';

function newId(): string {
  return randomBytes(16).toString('hex');
}

function policyAt(clock: { wallMs: number }): NodePolicy {
  const evaluator = new CedarEvaluator();
  return new NodePolicy({ evaluator, newId, wallMs: () => clock.wallMs }, () => false);
}

describe('what a node decides', () => {
  test('is to be decided again when the minute changes, if a policy asks for the time', () => {
    const clock = { wallMs: 600 * MINUTE_MS - 1 };
    const policy = policyAt(clock);
    policy.handleSnapshot(bodyOf([memberOf('rome')], [{ id: 'day', text: UNTIL_TEN }]), 1);
    const before = policy.epoch(clock.wallMs);
    expect(policy.denialOf('rome', 'web')).toBeUndefined();
    clock.wallMs++;
    expect(policy.epoch(clock.wallMs)).not.toBe(before);
    const denial = policy.denialOf('rome', 'web');
    expect(denial).toMatchObject({ code: 'POLICY_DENIED' });
    expect(policy.explain(denial?.decision ?? '')).toMatchObject({
      near: [{ policy: 'day', attribute: 'context.minuteOfDay', actual: '600' }],
    });
  });

  test('is not to be decided again for the time where no policy asks for it', () => {
    const clock = { wallMs: 0 };
    const policy = policyAt(clock);
    policy.handleSnapshot(bodyOf([memberOf('rome')], [{ id: 'all', text: 'permit(principal, action, resource);' }]), 1);
    expect(policy.epoch(0)).toBe(policy.epoch(MINUTE_MS));
  });

  test('is reported once where it is a denial, whoever asks how often', () => {
    const policy = policyAt({ wallMs: 0 });
    policy.handleSnapshot(bodyOf([memberOf('rome')], []), 3);
    const [first, second] = [policy.denialOf('rome', 'web'), policy.denialOf('rome', 'web')];
    expect(second).toEqual(first);
    expect(policy.takeDenials(10)).toMatchObject([
      { id: first?.decision, caller: 'rome', service: 'web', policies: '', snapshotVersion: 3 },
    ]);
    expect(policy.takeDenials(10)).toEqual([]);
  });

  test('and cannot report for all their number is counted', () => {
    const policy = policyAt({ wallMs: 0 });
    for (let at = 0; at < 300; at++) policy.denialOf('rome', `web-${at}`);
    expect(policy.takeDenials(1_000)).toHaveLength(256);
    expect(policy.droppedDenials).toBe(44);
  });
});
