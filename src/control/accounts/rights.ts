import type { ApiDecision, ApiResource, Authorizer } from '#control/authorizer.ts';
import { ACTION_NAMES, type ApiAction } from '#control/contract/actions.ts';
import type { UserRole } from '#control/principal.ts';
import { type Authenticated, userPrincipal } from './sessions.ts';

/** Decides for the caller and, where it came by an API key, for what the key was given too. */
export function decideFor(
  authorizer: Authorizer,
  caller: Authenticated,
  action: ApiAction,
  resource: ApiResource,
): ApiDecision {
  const decision = authorizer.authorize(caller.principal, action, resource);
  if (!decision.allowed || caller.limits === undefined) return decision;
  const { principal, actions } = caller.limits;
  const limited = authorizer.authorize(principal, action, resource);
  return { id: limited.id, allowed: limited.allowed && (actions?.includes(action) ?? true) };
}

/** An action that a credential of `role`, limited to `actions`, could do and the caller could not; undefined: it has no more rights. */
export function exceedingAction(
  authorizer: Authorizer,
  caller: Authenticated,
  role: UserRole,
  actions: readonly ApiAction[] | null,
): ApiAction | undefined {
  const wanted = userPrincipal(caller.principal.id, role);
  return (actions ?? ACTION_NAMES).find((action) =>
    [null, wanted.id].some((owner) => {
      const resource = { kind: 'Any', id: '', owner };
      return (
        authorizer.authorize(wanted, action, resource).allowed &&
        !decideFor(authorizer, caller, action, resource).allowed
      );
    }),
  );
}
