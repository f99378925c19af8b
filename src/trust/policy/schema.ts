/** Of the entities and actions below; a snapshot says under which its policies were written. */
export const POLICY_SCHEMA_VERSION = 1;

/** What the API knows as objects beside nodes, services, users and groups. Each may have an owner. */
export const API_OBJECT_TYPES = [
  'Token',
  'ApiKey',
  'Session',
  'Invitation',
  'Forward',
  'Policy',
  'Decision',
  'Audit',
  'Snapshot',
  'Certificate',
  'System',
] as const;

/** Groups of API actions, which roles are given. `own` are those that everybody has on what is their own. */
export const ACTION_GROUPS = ['read', 'operate', 'administer', 'audit', 'own'] as const;
export type ActionGroup = (typeof ACTION_GROUPS)[number];

/** Every action of the API, and the group that it is in. */
export const API_ACTIONS: Readonly<Record<string, ActionGroup>> = {
  'nodes:read': 'read',
  'services:read': 'read',
  'forwards:read': 'read',
  'policies:read': 'read',
  'decisions:read': 'read',
  'snapshots:read': 'read',
  'certificates:read': 'read',
  'system:read': 'read',
  'nodes:operate': 'operate',
  'services:write': 'operate',
  'forwards:write': 'operate',
  'policies:test': 'operate',
  'tokens:read': 'operate',
  'tokens:write': 'operate',
  'nodes:write': 'administer',
  'policies:write': 'administer',
  'users:read': 'administer',
  'users:write': 'administer',
  'invitations:write': 'administer',
  'api-keys:administer': 'administer',
  'system:write': 'administer',
  'audit:read': 'audit',
  'audit:verify': 'audit',
  'own:read': 'own',
  'own:write': 'own',
};

/** The Cedar namespace of everything here. */
export const NAMESPACE = 'X0';
/** The action of the mesh: a node opens a stream to a service. */
export const CONNECT = 'connect';
/** The group of every member. */
export const MEMBERS = 'members';

function declareObjects(): string {
  return `  entity ${API_OBJECT_TYPES.join(', ')} { owner?: User };`;
}

function declareActions(): string {
  const resources = ['Node', 'Service', 'User', ...API_OBJECT_TYPES].join(', ');
  const appliesTo = `appliesTo { principal: [User, Node], resource: [${resources}], context: {} }`;
  const groups = ACTION_GROUPS.map((group) => `"${group}"`).join(', ');
  const actions = Object.entries(API_ACTIONS).map(
    ([name, group]) => `  action "${name}" in ["${group}"] ${appliesTo};`,
  );
  return [`  action ${groups};`, ...actions].join('\n');
}

/**
 * The Cedar schema that an operator's policies are held to. A node is in one group for each of its labels (`key=value`) and in
 * `members`. Posture is what the control plane judged of a node's reports; what it does not know reads `unknown`. Time is UTC.
 */
export const MESH_SCHEMA: string = `namespace ${NAMESPACE} {
  type Posture = { version: String, os: String, health: String, lastSeenMinutes: Long };
  type Time = { minuteOfDay: Long, weekday: String };
  entity Group;
  entity Node in [Group] { relay: Bool, posture: Posture };
  entity Service;
  action "${CONNECT}" appliesTo { principal: [Node], resource: [Service], context: Time };
}
`;

/** The Cedar schema of {@link ROLE_POLICIES}, which are the program's own. */
export const API_SCHEMA: string = `namespace ${NAMESPACE} {
  entity Role, Service;
  entity Node, User in [Role];
${declareObjects()}
${declareActions()}
}
`;

/** What each role may do. These are no policies of the operator: they change with the program only. */
export const ROLE_POLICIES: Readonly<Record<string, string>> = {
  'role-admin': 'permit(principal in X0::Role::"admin", action, resource);',
  'role-operator':
    'permit(principal in X0::Role::"operator", action in [X0::Action::"read", X0::Action::"operate"], resource);',
  'role-viewer': 'permit(principal in X0::Role::"viewer", action in X0::Action::"read", resource);',
  'role-auditor':
    'permit(principal in X0::Role::"auditor", action in [X0::Action::"read", X0::Action::"audit"], resource);',
  'own-account':
    'permit(principal is X0::User, action in X0::Action::"own", resource is X0::User) when { resource == principal };',
  ...Object.fromEntries(API_OBJECT_TYPES.map((type) => [`own-${type}`, permitOwn(type)])),
};

function permitOwn(type: string): string {
  const scope = `permit(principal is X0::User, action in X0::Action::"own", resource is X0::${type})`;
  return `${scope} when { resource has owner && resource.owner == principal };`;
}
