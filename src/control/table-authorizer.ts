import type { RandomSource } from '#kernel/random.ts';
import type { ApiDecision, ApiResource, Authorizer } from '#control/authorizer.ts';
import { type ApiAction, tableAllows } from '#control/contract/actions.ts';
import type { Principal } from '#control/principal.ts';

const DECISION_ID_BYTES = 16;

/** Decides by the table of actions alone. */
export class TableAuthorizer implements Authorizer {
  readonly #random: RandomSource;

  constructor(random: RandomSource) {
    this.#random = random;
  }

  authorize(principal: Principal, action: ApiAction, resource: ApiResource): ApiDecision {
    const isOwn = principal.kind === 'user' && resource.owner === principal.id;
    const allowed = tableAllows(principal.roles, action, isOwn);
    return { id: this.#random.bytes(DECISION_ID_BYTES).toHex(), allowed };
  }
}
