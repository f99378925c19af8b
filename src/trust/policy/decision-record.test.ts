import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { readDecision } from '#trust/policy/decision-record.ts';
import { MeshPolicy } from '#trust/policy/mesh-policy.ts';
import type { PolicyEvaluator } from '#trust/policy/policy-decider.ts';
import { policyCase } from '../../../tests/fixtures/policies.ts';

const EVALUATOR: PolicyEvaluator = {
  evaluate: () => ({ allowed: true, policies: ['p0'], errors: [] }),
  evaluateConditions: () => [],
};

test('a decision is read from JSON as it was', () => {
  fc.assert(
    fc.property(policyCase, ({ body, caller, service, wallMs }) => {
      const policy = new MeshPolicy({ evaluator: EVALUATOR, newId: () => 'ab'.repeat(16), wallMs: () => wallMs });
      policy.handleSnapshot(body, 3);
      const decision = policy.decideConnect(caller, service);
      expect(readDecision(JSON.parse(JSON.stringify(decision)))).toEqual(decision);
    }),
  );
});

test('what is no decision is not read, whatever it is', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(readDecision(value)).toBeUndefined();
    }),
  );
});
