import { CodedError } from '#control/coded-error.ts';
import type { PolicyEntity, PolicyRequest, PolicyText } from '#trust/policy/engine.ts';
import { PARSED_SET_LIMIT } from '#trust/policy/limits.ts';
import type { ConditionOutcome, Evaluation, PolicyEvaluator } from '#trust/policy/policy-decider.ts';
import { type Cedar, CedarModule } from './cedar-module.ts';
import { toEntity, toRecord, toUid } from './cedar-values.ts';
import { type ConditionPart, splitConditions } from './conditions.ts';

interface ParsedSet {
  readonly slot: string;
  readonly generation: number;
  /** Why nothing is evaluated by it. */
  readonly failure: string | undefined;
}

/** Evaluates by Cedar. What cannot be evaluated is denied, and says why. */
export class CedarEvaluator implements PolicyEvaluator {
  readonly #module: CedarModule;
  /** The least lately used first; each has its place in the evaluator's own memory, which forgets nothing by itself. */
  readonly #sets = new Map<readonly PolicyText[], ParsedSet>();
  readonly #freeSlots: string[] = Array.from({ length: PARSED_SET_LIMIT }, (_, index) => `set-${index}`);

  constructor(module = new CedarModule()) {
    this.#module = module;
  }

  /** Whether the evaluator is in memory. */
  get isLoaded(): boolean {
    return this.#module.isLoaded;
  }

  /** Takes it into memory, so that no decision has to. A failure is that of the first decision. */
  load(): void {
    try {
      this.#module.call(() => undefined);
    } catch (error) {
      messageOf(error);
    }
  }

  evaluate(policies: readonly PolicyText[], request: PolicyRequest, entities: readonly PolicyEntity[]): Evaluation {
    const set = this.#parsed(policies);
    if (set.failure !== undefined) return denied(policies, set.failure);
    try {
      return this.#module.call((cedar) => {
        const answer = cedar.statefulIsAuthorized({ ...toCall(request, entities), preparsedPolicySetId: set.slot });
        if (answer.type === 'failure') return denied(policies, answer.errors.map(({ message }) => message).join('; '));
        const { decision, diagnostics } = answer.response;
        return {
          allowed: decision === 'allow',
          policies: diagnostics.reason.toSorted(),
          errors: diagnostics.errors.map(({ policyId, error }) => ({ policy: policyId, message: error.message })),
        };
      });
    } catch (error) {
      // It would end the next one too.
      this.#sets.set(policies, { ...set, failure: messageOf(error) });
      return denied(policies, messageOf(error));
    }
  }

  evaluateConditions(
    policy: PolicyText,
    request: PolicyRequest,
    entities: readonly PolicyEntity[],
  ): readonly ConditionOutcome[] {
    try {
      const answer = this.#module.call((cedar) => cedar.policyToJson(policy.text));
      if (answer.type === 'failure') return [];
      const parts = splitConditions(answer.json, request, entities);
      return this.#module.call((cedar) => parts.map((part) => evaluatePart(cedar, part, toCall(request, entities))));
    } catch (error) {
      return [{ text: messageOf(error), isMet: false, attributes: [] }];
    }
  }

  #parsed(policies: readonly PolicyText[]): ParsedSet {
    const known = this.#sets.get(policies);
    if (known !== undefined) {
      this.#sets.delete(policies);
      const isUsable = known.failure !== undefined || known.generation === this.#module.generation;
      const set = isUsable ? known : this.#parse(policies, known.slot);
      this.#sets.set(policies, set);
      return set;
    }
    const set = this.#parse(policies, this.#takeSlot());
    this.#sets.set(policies, set);
    return set;
  }

  #parse(policies: readonly PolicyText[], slot: string): ParsedSet {
    const staticPolicies = Object.fromEntries(policies.map(({ id, text }) => [id, text]));
    try {
      const failure = this.#module.call((cedar) => {
        const answer = cedar.preparsePolicySet(slot, { staticPolicies });
        return answer.type === 'success' ? undefined : answer.errors.map(({ message }) => message).join('; ');
      });
      return { slot, generation: this.#module.generation, failure };
    } catch (error) {
      return { slot, generation: this.#module.generation, failure: messageOf(error) };
    }
  }

  #takeSlot(): string {
    const free = this.#freeSlots.pop();
    if (free !== undefined) return free;
    for (const [oldest, { slot }] of this.#sets) {
      this.#sets.delete(oldest);
      return slot;
    }
    throw new Error('each slot is free or in use');
  }
}

function evaluatePart(
  cedar: Cedar,
  { json, attributes }: ConditionPart,
  call: ReturnType<typeof toCall>,
): ConditionOutcome {
  const text = cedar.policyToText(json);
  const outcome = cedar.isAuthorized({ ...call, policies: { staticPolicies: { condition: json } } });
  return {
    text: text.type === 'success' ? conditionOf(text.text) : '',
    isMet: outcome.type === 'success' && outcome.response.decision === 'allow',
    attributes,
  };
}

function toCall(request: PolicyRequest, entities: readonly PolicyEntity[]) {
  return {
    principal: toUid(request.principal),
    action: toUid({ type: 'Action', id: request.action }),
    resource: toUid(request.resource),
    context: toRecord(request.context),
    entities: entities.map((entity) => toEntity(entity)),
  };
}

function denied(policies: readonly PolicyText[], message: string): Evaluation {
  return { allowed: false, policies: [], errors: policies.map(({ id }) => ({ policy: id, message })) };
}

function messageOf(error: unknown): string {
  if (error instanceof CodedError) return error.message;
  throw error;
}

/** Of `permit(principal, action, resource) when { … };`. */
function conditionOf(policyText: string): string {
  const body = /when\s*\{([\s\S]*)\}\s*;?\s*$/.exec(policyText)?.[1];
  return (body ?? policyText).replaceAll(/\s+/g, ' ').trim();
}
