import { expect, test } from 'vitest';
import { SeededRandom } from '#kernel/random.ts';
import { CedarEvaluator } from '#io/policy-cedar/cedar-evaluator.ts';
import { ACTION_NAMES, tableAllows } from './contract/actions.ts';
import { PolicyAuthorizer } from './policy-authorizer.ts';
import { type Principal, type Role, USER_ROLES } from './principal.ts';

const authorizer = new PolicyAuthorizer(new CedarEvaluator(), new SeededRandom(1));
const ROLES: readonly Role[] = [...USER_ROLES, 'node'];

test('the built-in policies decide every action of every role as the table says, of its own and of another’s', () => {
  let allowed = 0;
  for (const action of ACTION_NAMES) {
    for (const role of ROLES) {
      for (const owner of [null, 'anna', 'bert']) {
        const principal: Principal = { kind: 'user', id: 'anna', roles: [role] };
        const decision = authorizer.authorize(principal, action, { kind: 'ApiKey', id: 'x', owner });
        expect([action, role, owner, decision.allowed]).toEqual([
          action,
          role,
          owner,
          tableAllows([role], action, owner === 'anna'),
        ]);
        if (decision.allowed) allowed++;
      }
    }
  }
  expect(allowed).toBeGreaterThan(100);
});

test('who has no role may do nothing, and names are no policies', () => {
  const nobody: Principal = { kind: 'user', id: 'anna', roles: [] };
  const odd: Principal = { kind: 'user', id: '"} in X0::Role::"admin', roles: [] };
  for (const principal of [nobody, odd])
    for (const action of ACTION_NAMES)
      expect(
        authorizer.authorize(principal, action, { kind: 'User', id: principal.id, owner: principal.id }).allowed,
      ).toBe(false);
});

test('each decision has an id of its own', () => {
  const resource = { kind: 'Status', id: '', owner: null };
  const decide = (): string =>
    authorizer.authorize({ kind: 'user', id: 'a', roles: ['viewer'] }, 'status:read', resource).id;
  expect(decide()).not.toBe(decide());
});
