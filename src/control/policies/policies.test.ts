import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { LOCAL_POLICY_NAME, LOCAL_POLICY_TEXT, Policies, type PolicyChange } from '#control/policies/policies.ts';
import { CedarChecker } from '#io/policy-cedar/cedar-checker.ts';
import { KyselyPolicyStore } from '#io/store-kysely/policies-store.ts';
import { SQLITE } from '../../../tests/harness/databases.ts';

const checker = new CedarChecker();
const PERMIT = 'permit(principal, action, resource);';
const FORBID = 'forbid(principal, action, resource);';
let database = await SQLITE.open();
let policies = openPolicies();

function openPolicies(isProduction = false): Policies {
  const ports = {
    store: new KyselyPolicyStore(database),
    check: (text: string) => checker.check(text),
    wallMs: () => 5,
  };
  return new Policies(ports, { isProduction });
}

function changeOf(name: string, text = PERMIT, extra: Partial<PolicyChange> = {}): PolicyChange {
  return { name, text, enabled: true, by: 'ann', ...extra };
}

beforeEach(async () => {
  await database.destroy();
  database = await SQLITE.open();
  policies = openPolicies();
});
afterAll(async () => database.destroy());

describe('policies', () => {
  test('that are enabled are in force, each statement under a name of its own', async () => {
    await policies.put(changeOf('web', `${PERMIT}\n${FORBID}`));
    await policies.put(changeOf('all'));
    await policies.put(changeOf('off', PERMIT, { enabled: false }));
    expect(await policies.statements()).toEqual([
      { id: 'all', text: PERMIT },
      { id: 'web', text: PERMIT },
      { id: 'web#2', text: FORBID },
    ]);
    expect(await policies.statements({ name: 'web', statements: null })).toEqual([{ id: 'all', text: PERMIT }]);
    expect(await policies.statements({ name: 'off', statements: [FORBID] })).toHaveLength(4);
  });

  test('with bad text are refused with its place, and nothing is stored', async () => {
    const refused = await policies.put(changeOf('web', 'permit(principal,\n action) when'));
    expect(refused).toMatchObject({ ok: false, error: { code: 'POLICY_SYNTAX', details: { line: 2 } } });
    expect(await policies.list()).toEqual([]);
  });

  test('have names like services', async () => {
    expect(await policies.put(changeOf('No Name'))).toMatchObject({ ok: false, error: { code: 'NAME_INVALID' } });
  });

  test('are not replaced by who has seen another version', async () => {
    await policies.put(changeOf('web'));
    await policies.put(changeOf('web', FORBID));
    const late = await policies.put(changeOf('web', PERMIT, { expected: 1 }));
    expect(late).toMatchObject({ ok: false, error: { code: 'POLICY_CHANGED' } });
  });

  test('go back to an earlier version by a new one', async () => {
    await policies.put(changeOf('web'));
    await policies.put(changeOf('web', FORBID));
    expect(await policies.rollback('web', 1, 'bob')).toMatchObject({
      ok: true,
      value: { version: 3, text: PERMIT, changedBy: 'bob' },
    });
    expect(await policies.rollback('web', 9, 'bob')).toMatchObject({ ok: false, error: { code: 'POLICY_UNKNOWN' } });
  });

  test('that are deleted are gone, and can be brought back', async () => {
    await policies.put(changeOf('web'));
    expect(await policies.delete('web', 'bob')).toMatchObject({ ok: true, value: { version: 2, deleted: true } });
    expect(await policies.find('web')).toMatchObject({ ok: false, error: { code: 'POLICY_UNKNOWN' } });
    expect(await policies.delete('web', 'bob')).toMatchObject({ ok: false, error: { code: 'POLICY_UNKNOWN' } });
    expect(await policies.rollback('web', 1, 'bob')).toMatchObject({ ok: true, value: { version: 3 } });
  });

  test('for trying out are refused in production, and taken away where they were', async () => {
    await policies.put(changeOf(LOCAL_POLICY_NAME, LOCAL_POLICY_TEXT));
    const production = openPolicies(true);
    expect(await production.dropLocalPolicy()).toBe(true);
    expect(await production.statements()).toEqual([]);
    const again = await production.put(changeOf(LOCAL_POLICY_NAME, LOCAL_POLICY_TEXT));
    expect(again).toMatchObject({ ok: false, error: { code: 'POLICY_NOT_FOR_PRODUCTION' } });
    expect(await production.dropLocalPolicy()).toBe(false);
  });
});
