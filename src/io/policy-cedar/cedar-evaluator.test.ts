import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import type { PolicyText } from '#trust/policy/engine.ts';
import { explainDecision } from '#trust/policy/explain.ts';
import { PARSED_SET_LIMIT } from '#trust/policy/limits.ts';
import { MeshPolicy } from '#trust/policy/mesh-policy.ts';
import { replayDecision } from '#trust/policy/policy-decider.ts';
import { bodyOf, memberOf, policyCase } from '../../../tests/fixtures/policies.ts';
import { CedarChecker } from './cedar-checker.ts';
import { CedarEvaluator } from './cedar-evaluator.ts';
import { CedarModule } from './cedar-module.ts';

const evaluator = new CedarEvaluator();
/** 1970-01-01 is a Thursday; ten o'clock. */
const TEN = 10 * 3_600_000;

function policyOf(texts: readonly string[], labels: Readonly<Record<string, string>> = {}, wallMs = TEN): MeshPolicy {
  const policy = new MeshPolicy({ evaluator, newId, wallMs: () => wallMs });
  const policies = texts.map((text, index): PolicyText => ({ id: `p${index}`, text }));
  policy.handleSnapshot(bodyOf([memberOf('rome', labels), memberOf('oslo')], policies), 7);
  return policy;
}

function parse(module: CedarModule, text = 'permit(principal, action, resource);'): unknown {
  return module.call((cedar) => cedar.checkParsePolicySet({ staticPolicies: text }));
}

function newId(): string {
  return randomBytes(16).toString('hex');
}

function explain(policy: MeshPolicy): ReturnType<typeof explainDecision> {
  return explainDecision(policy.decideConnect('rome', 'hello'), evaluator, policy.decider.index);
}

describe('policies', () => {
  test('allow nothing where there are none, without the evaluator in memory', () => {
    const fresh = new CedarEvaluator();
    const policy = new MeshPolicy({ evaluator: fresh, newId, wallMs: () => TEN });
    expect(policy.decideConnect('rome', 'hello')).toMatchObject({ allowed: false, policies: [], snapshotVersion: 0 });
    policy.handleSnapshot(bodyOf([memberOf('rome')], []), 1);
    expect(policy.decideConnect('rome', 'hello')).toMatchObject({ allowed: false, snapshotVersion: 1 });
    expect(fresh.isLoaded).toBe(false);
  });

  test('allow what one permits', () => {
    const policy = policyOf(['permit(principal in X0::Group::"env=prod", action, resource == X0::Service::"hello");'], {
      env: 'prod',
    });
    expect(policy.decideConnect('rome', 'hello')).toMatchObject({
      allowed: true,
      policies: ['p0'],
      snapshotVersion: 7,
    });
    expect(policy.decideConnect('oslo', 'hello').allowed).toBe(false);
    expect(policy.decideConnect('rome', 'other').allowed).toBe(false);
    expect(policy.decideConnect('nobody', 'hello').allowed).toBe(false);
  });

  test('that forbid win', () => {
    const forbid = 'forbid(principal == X0::Node::"rome", action, resource);';
    const policy = policyOf(['permit(principal, action, resource);', forbid]);
    expect(policy.decideConnect('rome', 'hello')).toMatchObject({ allowed: false, policies: ['p1'] });
    expect(policy.decideConnect('oslo', 'hello').allowed).toBe(true);
  });

  test('that fail permit nothing, and say so', () => {
    const policy = policyOf(['permit(principal, action, resource) when { principal.posture.none == 1 };']);
    const decision = policy.decideConnect('rome', 'hello');
    expect(decision.allowed).toBe(false);
    expect(decision.errors).toMatchObject([{ policy: 'p0', message: expect.stringContaining('none') as string }]);
  });

  test('decide the same when asked again, until the minute changes where time is asked for', () => {
    let wallMs = TEN - 1_000;
    const policy = new MeshPolicy({ evaluator, newId, wallMs: () => wallMs });
    const text = 'permit(principal, action, resource == X0::Service::"hello") when { context.minuteOfDay < 600 };';
    const always = { id: 'always', text: 'permit(principal, action, resource == X0::Service::"mail");' };
    policy.handleSnapshot(bodyOf([memberOf('rome')], [{ id: 'p', text }, always]), 1);
    expect(policy.usesTime).toBe(true);
    const before = policy.decideConnect('rome', 'hello');
    const mail = policy.decideConnect('rome', 'mail');
    expect(policy.decideConnect('rome', 'hello')).toBe(before);
    wallMs = TEN;
    const after = policy.decideConnect('rome', 'hello');
    expect([before.allowed, after.allowed]).toEqual([true, false]);
    expect(policy.decideConnect('rome', 'mail')).toBe(mail);
  });

  test('decide as all of them together would, though only those that can apply are asked', () => {
    fc.assert(
      fc.property(policyCase, ({ body, policies, caller, service, wallMs }) => {
        const policy = new MeshPolicy({ evaluator, newId, wallMs: () => wallMs });
        policy.handleSnapshot(body, 1);
        const decision = policy.decideConnect(caller, service);
        const everyone = body.nodes.map(({ name }) => policy.decideConnect(name, service).entities[0]);
        const known = everyone.filter((it) => it !== undefined);
        const entities = known.some(({ id }) => id === caller) ? known : [...known, ...decision.entities.slice(0, 1)];
        const all = evaluator.evaluate(policies, decision, entities);
        expect({ allowed: decision.allowed, policies: decision.policies.toSorted() }).toEqual({
          allowed: policies.length > 0 && all.allowed,
          policies: all.policies.toSorted(),
        });
        expect(decision.errors.map((it) => it.policy).toSorted()).toEqual(all.errors.map((it) => it.policy).toSorted());
      }),
      { numRuns: 1_500 },
    );
  });

  test('decide the same once more from the record of a decision, wherever it is read', () => {
    const elsewhere = new CedarEvaluator();
    fc.assert(
      fc.property(policyCase, ({ body, caller, service, wallMs }) => {
        const policy = new MeshPolicy({ evaluator, newId, wallMs: () => wallMs });
        policy.handleSnapshot(body, 1);
        const decision = policy.decideConnect(caller, service);
        const read = JSON.parse(JSON.stringify(decision)) as typeof decision;
        const { allowed, policies } = replayDecision(read, elsewhere);
        expect({ allowed, policies }).toEqual({ allowed: decision.allowed, policies: decision.policies });
      }),
      { numRuns: 1_000 },
    );
  });

  test('of more kinds than stand parsed are parsed again', () => {
    const texts = Array.from({ length: PARSED_SET_LIMIT + 20 }, (_, index) => {
      return `permit(principal, action, resource == X0::Service::"s${index}");`;
    });
    const policy = policyOf(texts);
    for (let round = 0; round < 2; round++) {
      const allowed = texts.filter(
        (_, index) => policy.decideConnect(round === 0 ? 'rome' : 'oslo', `s${index}`).allowed,
      );
      expect(allowed).toHaveLength(texts.length);
    }
  });
});

describe('an explanation', () => {
  test('names the attribute that failed, and what it is', () => {
    const text =
      'permit(principal in X0::Group::"members", action, resource) when { principal.relay == false && principal.posture.os == "linux" } unless { context.weekday == "sunday" };';
    expect(explain(policyOf([text]))).toMatchObject({
      allowed: false,
      summary: 'rome connect hello is denied: no policy allows it',
      near: [{ policy: 'p0', attribute: 'principal.posture.os', actual: '"unknown"' }],
      remedy: 'p0 asks for principal.posture.os == "linux", and principal.posture.os is "unknown".',
    });
  });

  test('names the group that a node lacks', () => {
    const policy = policyOf(['permit(principal in X0::Group::"env=prod", action, resource == X0::Service::"hello");']);
    expect(explain(policy).remedy).toBe('give rome the label env=prod that p0 asks for, or change the policy.');
  });

  test('names the policy that forbids', () => {
    const policy = policyOf(['permit(principal, action, resource);', 'forbid(principal, action, resource);']);
    expect(explain(policy)).toMatchObject({
      policies: ['p1'],
      near: [],
      remedy: 'change or disable p1, which forbids it.',
    });
  });

  test('says what to add where nothing comes near', () => {
    expect(explain(policyOf([])).remedy).toContain('x0 expose hello --allow GROUP');
  });
});

describe('a text', () => {
  const checker = new CedarChecker();

  test('that is a policy has its statements in their order', () => {
    const texts = Array.from(
      { length: 12 },
      (_, index) => `permit(principal == X0::Node::"n${index}", action, resource);`,
    );
    expect(checker.check(texts.join('\n'))).toEqual({ ok: true, value: { statements: texts } });
  });

  test.each<[string, string, number, number, string]>([
    ['POLICY_SYNTAX', 'permit(principal, action, resource)\n  when { foo bar };', 2, 14, 'unexpected token `bar`'],
    ['POLICY_SYNTAX', '// nothing', 1, 1, 'no statement'],
    ['POLICY_SYNTAX', 'permit(principal == ?principal, action, resource);', 1, 1, 'template'],
    ['POLICY_SYNTAX', String.raw`permit(principal == X0::Node::"r\u{6f}me", action, resource);`, 1, 1, 'escapes'],
    [
      'POLICY_SCHEMA',
      'permit(principal, action, resource);\npermit(principal, action, resource)\nwhen { principal.colour == "é" };',
      3,
      8,
      'colour',
    ],
    ['POLICY_SCHEMA', 'permit(principal == X0::Planet::"mars", action, resource);', 1, 21, 'X0::Planet'],
    ['POLICY_SCHEMA', 'permit(principal, action == X0::Action::"fly", resource);', 1, 29, 'fly'],
    ['POLICY_SCHEMA', 'permit(principal is X0::Service, action, resource);', 1, 1, 'applicable action'],
    ['POLICY_TOO_LARGE', 'x'.repeat(20_000), 1, 1, 'at most'],
    ['POLICY_TOO_LARGE', 'permit(principal, action, resource);\n'.repeat(33), 1, 1, 'statements'],
    ['POLICY_TOO_COMPLEX', `permit(principal, action, resource) when { ${'('.repeat(5_000)}`, 1, 1, 'deep'],
    [
      'POLICY_TOO_COMPLEX',
      `permit(principal, action, resource) when { ${'true && '.repeat(1_990)}true };`,
      1,
      1,
      'words',
    ],
  ])('is refused with %s', (code, text, line, column, message) => {
    expect(checker.check(text)).toMatchObject({ ok: false, error: { code, line, column } });
    const checked = checker.check(text);
    expect(checked.ok ? '' : checked.error.message).toContain(message);
  });

  test.each([
    ['operators', `${'principal.relay || '.repeat(95)}true`],
    ['sums', `1 == ${'1 + '.repeat(190)}1`],
    ['alternatives', `${'if true then true else '.repeat(38)}true`],
    ['brackets', `${'('.repeat(36)}true${')'.repeat(36)}`],
    ['attributes', `principal${'.relay'.repeat(190)}`],
    ['signs', `1 == ${'- '.repeat(380)}1`],
  ])('with as many %s as there may be does not end the evaluator', (_what, condition) => {
    const module = new CedarModule();
    checker.check('permit(principal, action, resource);');
    const own = new CedarChecker(module);
    own.check(`permit(principal, action, resource) when { ${condition} };`);
    expect(own.check('permit(principal, action, resource);').ok).toBe(true);
    expect(module.generation).toBe(0);
  });

  test.each([
    ['a comment that Cedar ends at a carriage return', `//\r${'('.repeat(5_000)}true${')'.repeat(5_000)}`, 'deep'],
    ['a chain that ends the evaluator later', `${'principal.relay || '.repeat(370)}true`, 'statement'],
    ['a pattern that takes long to match', `"${'a'.repeat(8_000)}" like "*${'a'.repeat(7_800)}b"`, 'quotes'],
    ['quotes that are never closed', '\\"'.repeat(8_000), 'quotes'],
  ])('with %s is refused before the evaluator sees it, at once', (_what, condition, message) => {
    const module = new CedarModule();
    const startMs = performance.now();
    const checked = new CedarChecker(module).check(
      `permit(principal, action, resource) when { ${condition} };`.slice(0, 16_384),
    );
    expect(performance.now() - startMs).toBeLessThan(1_000);
    expect(checked).toMatchObject({ ok: false, error: { code: 'POLICY_TOO_COMPLEX' } });
    expect([checked.ok ? '' : checked.error.message, module.isLoaded]).toEqual([
      expect.stringContaining(message),
      false,
    ]);
  });

  test('whose time is behind a carriage return is decided again each minute', () => {
    const text = 'permit(principal, action, resource) when { //\rcontext.minuteOfDay < 600\n };';
    expect(checker.check(text).ok).toBe(true);
    expect(policyOf([text]).usesTime).toBe(true);
  });

  test('that ends one evaluator often is noticed by no other, and by that one for a minute at most', () => {
    const [module, other] = [new CedarModule(), new CedarModule()];
    const text = `permit(principal, action, resource) when { ${'('.repeat(20_000)}true${')'.repeat(20_000)} };`;
    expect(parse(other)).toMatchObject({ type: 'success' });
    for (let time = 0; time < 20; time++) expect(() => parse(module, text)).toThrow('the policy evaluator failed');
    expect(parse(other)).toMatchObject({ type: 'success' });
    expect(other.generation).toBe(0);
    expect(() => parse(module)).toThrow('within a minute');
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 61_000);
    expect(parse(module)).toMatchObject({ type: 'success' });
    vi.restoreAllMocks();
  });

  test('that ends the evaluator is denied, and the evaluator goes on', () => {
    const deep = `permit(principal, action, resource) when { ${'('.repeat(20_000)}true${')'.repeat(20_000)} };`;
    const fresh = new CedarEvaluator();
    const policy = new MeshPolicy({ evaluator: fresh, newId, wallMs: () => TEN });
    policy.handleSnapshot(
      bodyOf(
        [memberOf('rome')],
        [
          { id: 'deep', text: deep.replace('resource)', 'resource == X0::Service::"deep")') },
          { id: 'good', text: 'permit(principal, action, resource == X0::Service::"hello");' },
        ],
      ),
      1,
    );
    expect(policy.decideConnect('rome', 'hello').allowed).toBe(true);
    expect(policy.decideConnect('rome', 'deep')).toMatchObject({ allowed: false, errors: [{ policy: 'deep' }] });
    expect(policy.decideConnect('rome', 'hello').allowed).toBe(true);
    expect(replayDecision(policy.decideConnect('rome', 'hello'), fresh).allowed).toBe(true);
  });
});
