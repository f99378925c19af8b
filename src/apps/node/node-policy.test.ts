import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { CedarEvaluator } from '#io/policy-cedar/cedar-evaluator.ts';
import type { PolicyText } from '#trust/policy/engine.ts';
import { bodyOf, memberOf } from '../../../tests/fixtures/policies.ts';
import { NodePolicy } from './node-policy.ts';

const MINUTE_MS = 60_000;
const UNTIL_TEN = 'permit(principal, action, resource) when { context.minuteOfDay < 600 };';

function newId(): string {
  return randomBytes(16).toString('hex');
}

function policyAt(clock: { wallMs: number; standDown?: 'CERT_REVOKED' }, onLoaded = (): void => undefined): NodePolicy {
  const evaluator = new CedarEvaluator();
  const at = { wallMs: () => clock.wallMs, nowMs: () => performance.now() };
  return new NodePolicy({ ...at, evaluator, newId, nextTurn, standDown: () => clock.standDown, onLoaded });
}

/** All different, whatever they say. */
function manyPolicies(count: number, word: string): readonly PolicyText[] {
  return Array.from({ length: count }, (_, at) => {
    const condition = Array.from({ length: 20 }, (_each, index) => `context.minuteOfDay != ${at + index}`).join(' && ');
    return {
      id: `p${at}`,
      text: `permit(principal, action, resource == X0::Service::"${word}${at}") when { ${condition} };`,
    };
  });
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
    const decision = policy.find(denial?.decision ?? '');
    expect(decision && policy.explainDecision(decision)).toMatchObject({
      near: [{ policy: 'day', attribute: 'context.minuteOfDay', actual: '600' }],
    });
  });

  test('is not to be decided again for the time where no policy asks for it', () => {
    const clock = { wallMs: 0 };
    const policy = policyAt(clock);
    policy.handleSnapshot(bodyOf([memberOf('rome')], [{ id: 'all', text: 'permit(principal, action, resource);' }]), 1);
    expect(policy.epoch(0)).toBe(policy.epoch(MINUTE_MS));
  });

  test('is nothing any more once the node itself is revoked', () => {
    const clock: { wallMs: number; standDown?: 'CERT_REVOKED' } = { wallMs: 0 };
    const policy = policyAt(clock);
    policy.handleSnapshot(bodyOf([memberOf('rome')], [{ id: 'all', text: 'permit(principal, action, resource);' }]), 1);
    const before = policy.epoch(0);
    expect(policy.denialOf('rome', 'web')).toBeUndefined();
    clock.standDown = 'CERT_REVOKED';
    expect([policy.epoch(0) === before, policy.denialOf('rome', 'web')]).toEqual([false, { code: 'CERT_REVOKED' }]);
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

  test('is decided by the first snapshot at once, and by many new policies as soon as they are read', async () => {
    const loaded = Promise.withResolvers<undefined>();
    const policy = policyAt({ wallMs: 0 }, () => loaded.resolve(undefined));
    const members = [memberOf('rome')];
    policy.handleSnapshot(bodyOf(members, manyPolicies(2_000, 'web')), 1);
    const before = policy.epoch(0);
    expect(policy.decide('rome', 'web1500').snapshotVersion).toBe(1);
    policy.handleSnapshot(bodyOf(members, manyPolicies(2_000, 'mail')), 2);
    expect([policy.epoch(0), policy.decide('rome', 'web1500').snapshotVersion]).toEqual([before, 1]);
    await loaded.promise;
    expect(policy.epoch(0)).not.toBe(before);
    expect(policy.decide('rome', 'mail1500')).toMatchObject({ allowed: true, snapshotVersion: 2 });
    expect(policy.decide('rome', 'web1500').allowed).toBe(false);
  });

  test('is decided by the newest snapshot, however many came while one was read', async () => {
    const policy = policyAt({ wallMs: 0 });
    const members = [memberOf('rome')];
    policy.handleSnapshot(bodyOf(members, []), 1);
    policy.handleSnapshot(bodyOf(members, manyPolicies(2_000, 'mail')), 2);
    policy.handleSnapshot(bodyOf(members, []), 3);
    expect(policy.decide('rome', 'mail1500')).toMatchObject({ allowed: false, snapshotVersion: 3 });
    for (let turn = 0; turn < 100; turn++) await nextTurn();
    expect(policy.decide('rome', 'mail1500').snapshotVersion).toBe(3);
  });

  test('is supposed of another policy without putting it into force', async () => {
    const policy = policyAt({ wallMs: 0 });
    policy.handleSnapshot(
      bodyOf([memberOf('rome')], [{ id: 'all#1', text: 'permit(principal, action, resource);' }]),
      1,
    );
    const streams = ['web', 'mail'].map((service) => ({ caller: 'rome', service }));
    const forbid = 'forbid(principal, action, resource == X0::Service::"mail");';
    expect(await policy.deniedUnder({ name: 'some', statements: [forbid] }, streams)).toEqual([streams[1]]);
    expect(await policy.deniedUnder({ name: 'all', statements: null }, streams)).toEqual(streams);
    expect(policy.denialOf('rome', 'mail')).toBeUndefined();
  });

  test('and cannot report for all their number is counted', () => {
    const policy = policyAt({ wallMs: 0 });
    for (let at = 0; at < 300; at++) policy.denialOf('rome', `web-${at}`);
    expect(policy.takeDenials(1_000)).toHaveLength(256);
    expect(policy.droppedDenials).toBe(44);
  });
});
