import type { Decision, PolicyEntity, PolicyText } from '#trust/policy/engine.ts';
import type { ConditionOutcome, PolicyEvaluator } from '#trust/policy/policy-decider.ts';
import type { PolicyIndex } from '#trust/policy/policy-index.ts';
import { scanStatement, type Scope } from '#trust/policy/policy-scan.ts';

/** Policies that an explanation names beside those that decided. */
const NEAR_LIMIT = 8;

/** A policy that did not permit, and the first thing about it that was not so. */
export interface NearPolicy {
  readonly policy: string;
  /** As Cedar text: a part of the head, or of the conditions. */
  readonly failed: string;
  /** `principal.posture.os`, `context.minuteOfDay`; null where it is not one attribute. */
  readonly attribute: string | null;
  /** What it is, as JSON; null where it is not one attribute. */
  readonly actual: string | null;
}

/** A decision as an operator is told it. */
export interface Explanation {
  readonly id: string;
  readonly allowed: boolean;
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
  readonly snapshotVersion: number;
  /** ISO 8601. */
  readonly decidedAt: string;
  /** One sentence. */
  readonly summary: string;
  /** One sentence; null for what is allowed. */
  readonly remedy: string | null;
  readonly policies: readonly string[];
  readonly near: readonly NearPolicy[];
  readonly errors: readonly { readonly policy: string; readonly message: string }[];
  readonly context: Decision['context'];
  readonly groups: readonly string[];
}

/** Why a decision is what it is. `index`: of the policies now, for those whose head does not fit. */
export function explainDecision(decision: Decision, evaluator: PolicyEvaluator, index: PolicyIndex): Explanation {
  const { id, allowed, principal, action, resource, snapshotVersion, policies, errors, context } = decision;
  const near = allowed || policies.length > 0 ? [] : findNear(decision, evaluator, index);
  return {
    id,
    allowed,
    principal: principal.id,
    action,
    resource: resource.id,
    snapshotVersion,
    decidedAt: new Date(decision.decidedAtMs).toISOString(),
    summary: summaryOf(decision),
    remedy: allowed ? null : remedyOf(decision, near),
    policies,
    near,
    errors,
    context,
    groups: groupsOf(decision),
  };
}

function summaryOf({ allowed, policies, errors, principal, resource, action }: Decision): string {
  const what = `${principal.id} ${action} ${resource.id}`;
  if (allowed) return `${what} is allowed by ${policies.join(', ')}`;
  if (policies.length > 0) return `${what} is forbidden by ${policies.join(', ')}`;
  if (errors.length > 0)
    return `${what} is denied: ${errors.map(({ policy }) => policy).join(', ')} could not be evaluated`;
  return `${what} is denied: no policy allows it`;
}

function findNear(decision: Decision, evaluator: PolicyEvaluator, index: PolicyIndex): readonly NearPolicy[] {
  const candidates = decision.candidates.filter(({ text }) => scanStatement(text).effect === 'permit');
  const met = new Set(candidates.map(({ id }) => id));
  const failed = candidates.slice(0, NEAR_LIMIT).flatMap((policy) => failedCondition(policy, decision, evaluator));
  const others = index.permitsOf(decision.resource, NEAR_LIMIT).filter(({ id }) => !met.has(id));
  return [...failed, ...others.map(({ id, principal }) => wrongHead(id, principal))].slice(0, NEAR_LIMIT);
}

function failedCondition(policy: PolicyText, decision: Decision, evaluator: PolicyEvaluator): readonly NearPolicy[] {
  const outcomes = evaluator.evaluateConditions(policy, decision, decision.entities);
  const failed = outcomes.find(({ isMet }) => !isMet);
  return failed === undefined ? [] : [describe(policy.id, failed)];
}

function describe(policy: string, { text, attributes }: ConditionOutcome): NearPolicy {
  const [attribute] = attributes;
  return { policy, failed: text, attribute: attribute?.path ?? null, actual: attribute?.value ?? null };
}

function wrongHead(policy: string, principal: Scope): NearPolicy {
  const failed = principal === undefined ? 'the head' : headText(principal);
  return { policy, failed, attribute: null, actual: null };
}

function headText({ op, entity }: NonNullable<Scope>): string {
  return `principal ${op === 'is' ? '==' : 'in'} X0::${entity.type}::"${entity.id}"`;
}

function remedyOf({ principal, resource, policies, errors }: Decision, [nearest]: readonly NearPolicy[]): string {
  if (policies.length > 0) return `change or disable ${policies.join(', ')}, which forbids it.`;
  const [error] = errors;
  if (error !== undefined) return `correct ${error.policy}: ${error.message}.`;
  if (nearest === undefined) {
    return `add a policy: x0 expose ${resource.id} --allow GROUP with a group that ${principal.id} is in, or x0 policy put.`;
  }
  const group = /^principal in X0::Group::"([^"]*)"$/.exec(nearest.failed)?.[1];
  if (group !== undefined)
    return `give ${principal.id} the label ${group} that ${nearest.policy} asks for, or change the policy.`;
  if (nearest.attribute === null)
    return `${nearest.policy} asks for ${nearest.failed}: make it so, or change the policy.`;
  return `${nearest.policy} asks for ${nearest.failed}, and ${nearest.attribute} is ${nearest.actual ?? 'not there'}.`;
}

function groupsOf({ entities, principal }: Decision): readonly string[] {
  const entity = entities.find((it: PolicyEntity) => it.type === principal.type && it.id === principal.id);
  return (entity?.parents ?? []).map(({ id }) => id);
}
