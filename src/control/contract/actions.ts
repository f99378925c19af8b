import type { Role } from '#control/principal.ts';

/** Which roles may do an action to any object, and which only to what is their own. */
export interface ActionRule {
  readonly any: readonly Role[];
  readonly own: readonly Role[];
}

const ADMIN: readonly Role[] = ['admin'];
const OPERATE: readonly Role[] = ['admin', 'operator'];
const LOOK: readonly Role[] = ['admin', 'operator', 'viewer'];
const READ: readonly Role[] = ['admin', 'operator', 'viewer', 'auditor'];
const OVERSEE: readonly Role[] = ['admin', 'auditor'];

function anyOf(roles: readonly Role[]): ActionRule {
  return { any: roles, own: roles };
}

/** Everything that the API can be asked to do, and by whom. The built-in policies say the same; a test compares the two. */
export const ACTIONS = {
  'status:read': anyOf(READ),
  'nodes:read': anyOf(READ),
  'nodes:inspect': anyOf(LOOK),
  'nodes:drain': anyOf(OPERATE),
  'nodes:revoke': anyOf(OPERATE),
  'nodes:approve': anyOf(OPERATE),
  'nodes:delete': anyOf(ADMIN),
  'certificates:read': anyOf(READ),
  'tokens:create': anyOf(OPERATE),
  'tokens:read': anyOf(READ),
  'tokens:revoke': anyOf(OPERATE),
  'services:read': anyOf(READ),
  'services:write': anyOf(OPERATE),
  'forwards:write': anyOf(OPERATE),
  'policies:read': anyOf(READ),
  'policies:write': anyOf(ADMIN),
  'policies:test': anyOf(OPERATE),
  'decisions:read': anyOf(READ),
  'users:read': { any: OVERSEE, own: READ },
  'users:list': { any: OVERSEE, own: READ },
  'users:invite': anyOf(ADMIN),
  'users:change': anyOf(ADMIN),
  'users:stats': anyOf(ADMIN),
  'audit:read': anyOf(OVERSEE),
  'users:end-sessions': { any: ADMIN, own: READ },
  'session:use': { any: [], own: READ },
  'api-keys:create': { any: [], own: READ },
  'api-keys:read': { any: OVERSEE, own: READ },
  'api-keys:list': { any: OVERSEE, own: READ },
  'api-keys:revoke': { any: ADMIN, own: READ },
} as const satisfies Readonly<Record<string, ActionRule>>;

export type ApiAction = keyof typeof ACTIONS;

/** All actions by name. */
export const ACTION_NAMES = Object.keys(ACTIONS) as readonly ApiAction[];

/** Whether one of `roles` may do `action`, to its own objects at least when `isOwn`, else to any. */
export function tableAllows(roles: readonly Role[], action: ApiAction, isOwn: boolean): boolean {
  const rule: ActionRule = ACTIONS[action];
  return roles.some((role) => rule.any.includes(role) || (isOwn && rule.own.includes(role)));
}
