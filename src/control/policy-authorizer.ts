import type { RandomSource } from '#kernel/random.ts';
import type { PolicyText } from '#trust/policy/engine.ts';
import type { Evaluation, PolicyEvaluator } from '#trust/policy/policy-decider.ts';
import type { ApiDecision, ApiResource, Authorizer } from '#control/authorizer.ts';
import { ACTION_NAMES, type ApiAction } from '#control/contract/actions.ts';
import type { Principal } from '#control/principal.ts';
import { entitiesFor, objectOf, policiesFor, PRINCIPAL_TYPES } from '#control/role-policies.ts';

const DECISION_ID_BYTES = 16;
/** Who asks for the same again within a session is answered from here; each takes some 300 bytes. */
const REMEMBERED_LIMIT = 10_000;

/**
 * Decides by the built-in role policies, in the engine that decides about streams. The policies change with the program only,
 * and everything else they look at is in the request, so an outcome stays true; its id is new each time.
 */
export class PolicyAuthorizer implements Authorizer {
  readonly #evaluator: PolicyEvaluator;
  readonly #random: RandomSource;
  readonly #policies: ReadonlyMap<ApiAction, readonly PolicyText[]>;
  readonly #outcomes = new Map<string, boolean>();

  constructor(evaluator: PolicyEvaluator, random: RandomSource) {
    this.#evaluator = evaluator;
    this.#random = random;
    // The same lists each time: the evaluator remembers what it parsed by them.
    this.#policies = new Map(ACTION_NAMES.map((action) => [action, policiesFor(action)]));
  }

  authorize(principal: Principal, action: ApiAction, resource: ApiResource): ApiDecision {
    const id = this.#random.bytes(DECISION_ID_BYTES).toHex();
    const key = JSON.stringify([principal, action, resource]);
    const known = this.#outcomes.get(key);
    if (known !== undefined) return { id, allowed: known };
    const { allowed, errors } = this.#evaluate(principal, action, resource);
    // What could not be evaluated is refused now, and tried again the next time.
    if (errors.length > 0) return { id, allowed: false };
    for (const oldest of this.#outcomes.keys()) {
      if (this.#outcomes.size < REMEMBERED_LIMIT) break;
      this.#outcomes.delete(oldest);
    }
    this.#outcomes.set(key, allowed);
    return { id, allowed };
  }

  #evaluate(principal: Principal, action: ApiAction, resource: ApiResource): Evaluation {
    const request = {
      principal: { type: PRINCIPAL_TYPES[principal.kind], id: principal.id },
      action,
      resource: objectOf(resource),
      context: {},
    };
    const policies = this.#policies.get(action) ?? [];
    return this.#evaluator.evaluate(policies, request, entitiesFor(principal, resource));
  }
}
