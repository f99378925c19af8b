import { describe, expect, test } from 'vitest';
import type { Decision, PolicyText } from '#trust/policy/engine.ts';
import { explainDecision, type Explanation } from '#trust/policy/explain.ts';
import type { ConditionOutcome, PolicyEvaluator } from '#trust/policy/policy-decider.ts';
import { PolicyIndex } from '#trust/policy/policy-index.ts';

const OS: ConditionOutcome = {
  text: 'principal.posture.os == "linux"',
  isMet: false,
  attributes: [{ path: 'principal.posture.os', value: '"darwin"' }],
};

/** Answers with these parts of every policy's conditions. */
function evaluatorOf(outcomes: readonly ConditionOutcome[]): PolicyEvaluator {
  return { evaluate: () => ({ allowed: false, policies: [], errors: [] }), evaluateConditions: () => outcomes };
}

function decisionOf(part: Partial<Decision>): Decision {
  const principal = { type: 'Node', id: 'oslo' };
  return {
    id: 'ab'.repeat(16),
    principal,
    action: 'connect',
    resource: { type: 'Service', id: 'web' },
    context: { minuteOfDay: 600, weekday: 'monday' },
    allowed: false,
    policies: [],
    errors: [],
    snapshotVersion: 7,
    decidedAtMs: Date.UTC(2026, 0, 1),
    entities: [{ ...principal, attributes: {}, parents: [{ type: 'Group', id: 'members' }] }],
    candidates: [],
    ...part,
  };
}

function explain(
  part: Partial<Decision>,
  outcomes: readonly ConditionOutcome[] = [],
  policies: readonly PolicyText[] = [],
): Explanation {
  return explainDecision(decisionOf(part), evaluatorOf(outcomes), new PolicyIndex(policies));
}

const PERMIT = { id: 'web', text: 'permit(principal, action, resource) when { principal.posture.os == "linux" };' };

describe('an explanation', () => {
  test('of what is allowed names who allowed it, and no remedy', () => {
    expect(explain({ allowed: true, policies: ['web'] })).toMatchObject({
      summary: 'oslo connect web is allowed by web',
      remedy: null,
      near: [],
      groups: ['members'],
      decidedAt: '2026-01-01T00:00:00.000Z',
    });
  });

  test('of what is forbidden names who forbids it, and nobody who came near', () => {
    expect(explain({ policies: ['keep-out'] }, [OS], [PERMIT])).toMatchObject({
      summary: 'oslo connect web is forbidden by keep-out',
      remedy: 'change or disable keep-out, which forbids it.',
      near: [],
    });
  });

  test('names the first part of a condition that is not so, its attribute, and what that is', () => {
    const met = { ...OS, text: 'principal.relay', isMet: true };
    expect(explain({ candidates: [PERMIT] }, [met, OS])).toMatchObject({
      summary: 'oslo connect web is denied: no policy allows it',
      near: [{ policy: 'web', failed: OS.text, attribute: 'principal.posture.os', actual: '"darwin"' }],
      remedy: 'web asks for principal.posture.os == "linux", and principal.posture.os is "darwin".',
    });
  });

  test('says that an attribute is not there, and a condition without attributes as it is', () => {
    const absent = { ...OS, attributes: [{ path: 'principal.posture.os', value: undefined }] };
    expect(explain({ candidates: [PERMIT] }, [absent]).remedy).toContain('principal.posture.os is not there.');
    expect(explain({ candidates: [PERMIT] }, [{ ...OS, attributes: [] }]).remedy).toBe(
      `web asks for ${OS.text}: make it so, or change the policy.`,
    );
  });

  test('names the label that another’s policy asks for', () => {
    const text = 'permit(principal in X0::Group::"team=ops", action, resource == X0::Service::"web");';
    expect(explain({}, [], [{ id: 'ops', text }])).toMatchObject({
      near: [{ policy: 'ops', failed: 'principal in X0::Group::"team=ops"' }],
      remedy: 'give oslo the label team=ops that ops asks for, or change the policy.',
    });
  });

  test('proposes a policy where none is near, and to correct one that failed', () => {
    expect(explain({}).remedy).toContain('x0 expose web --allow GROUP');
    const errors = [{ policy: 'web', message: 'integer overflow' }];
    expect(explain({ candidates: [PERMIT], errors })).toMatchObject({
      summary: 'oslo connect web is denied: web could not be evaluated',
      remedy: 'correct web: integer overflow.',
    });
  });

  test('names at most eight that came near', () => {
    const many = Array.from({ length: 20 }, (_, at) => ({ id: `p${at}`, text: `${PERMIT.text} // ${at}` }));
    expect(explain({ candidates: many }, [OS], many).near).toHaveLength(8);
  });
});
