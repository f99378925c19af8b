import type { ApiAction } from '#control/contract/actions.ts';
import type { Principal } from '#control/principal.ts';

/** What a request is about. `owner` is the principal that it belongs to; null: nobody's in particular. */
export interface ApiResource {
  readonly kind: string;
  readonly id: string;
  readonly owner: string | null;
}

export interface ApiDecision {
  /** 32 hexadecimal digits; what a refused caller is told, and the audit log knows. */
  readonly id: string;
  readonly allowed: boolean;
}

/** Decides every request of the API. */
export interface Authorizer {
  authorize(principal: Principal, action: ApiAction, resource: ApiResource): ApiDecision;
}
