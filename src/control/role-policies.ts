import type { PolicyEntity, PolicyText } from '#trust/policy/engine.ts';
import { NAMESPACE } from '#trust/policy/schema.ts';
import { ACTIONS, type ActionRule, type ApiAction } from '#control/contract/actions.ts';
import type { ApiResource } from '#control/authorizer.ts';
import type { Principal, Role } from '#control/principal.ts';

/** What the API knows as objects, for the policies: all are of one type, with an owner where they have one. */
const OBJECT = 'Object';

/** The policies that can apply to an action, in Cedar: what each role may do to any object, and to what is its own. */
export function policiesFor(action: ApiAction): readonly PolicyText[] {
  const rule: ActionRule = ACTIONS[action];
  const own = rule.own.filter((role) => !rule.any.includes(role));
  return [
    ...rule.any.map((role) => ({ id: `${role}-${action}`, text: permit(role, action, '') })),
    ...own.map((role) => ({ id: `${role}-own-${action}`, text: permit(role, action, OWN) })),
  ];
}

const OWN = ' when { resource has owner && resource.owner == principal }';

function permit(role: Role, action: ApiAction, when: string): string {
  const scope = `principal in ${NAMESPACE}::Role::"${role}", action == ${NAMESPACE}::Action::"${action}", resource`;
  return `permit(${scope})${when};`;
}

/** The principal with its roles, and the object with its owner. */
export function entitiesFor({ kind, id, roles }: Principal, resource: ApiResource): readonly PolicyEntity[] {
  const { owner } = resource;
  const type = PRINCIPAL_TYPES[kind];
  const attributes = owner === null ? {} : { owner: { type: 'User', id: owner } };
  return [
    { type, id, attributes: {}, parents: roles.map((role) => ({ type: 'Role', id: role })) },
    { ...objectOf(resource), attributes, parents: [] },
  ];
}

/** The object in a request. */
export function objectOf({ kind, id }: ApiResource): { readonly type: string; readonly id: string } {
  return { type: OBJECT, id: `${kind} ${id}` };
}

export const PRINCIPAL_TYPES: Readonly<Record<Principal['kind'], string>> = {
  user: 'User',
  node: 'Node',
  control: 'Control',
};
