import { Type } from 'typebox';
import type { Static } from 'typebox';
import { ACTION_NAMES, type ApiAction } from './actions.ts';
import { closed, count, nextCursor, orNull, shortText, time } from './common.ts';
import { USER_ROLES, type UserRole } from '#control/principal.ts';

export const role = Type.Unsafe<UserRole>({ type: 'string', enum: [...USER_ROLES] });
const action = Type.Unsafe<ApiAction>({ type: 'string', enum: [...ACTION_NAMES] });
/** The rules of names and passwords are the accounts’ own; this only bounds what is read. */
const userName = Type.String({ minLength: 1, maxLength: 128 });
const password = Type.String({ minLength: 1, maxLength: 512, format: 'password' });

/** A person. */
export const user = Type.Object({
  id: Type.String(),
  name: Type.String(),
  role,
  disabled: Type.Boolean(),
  createdAt: time,
});
export const userList = Type.Object({ users: Type.Array(user), nextCursor });

const who = {
  name: Type.Optional(userName),
  email: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: 'the same as `name`' })),
};
export const registerBody = Type.Object(
  { code: Type.String({ minLength: 1, maxLength: 128 }), ...who, password },
  closed,
);
export const loginBody = Type.Object({ ...who, password }, closed);
export const passwordBody = Type.Object({ oldPassword: password, newPassword: password }, closed);
export const session = Type.Object({
  token: Type.String({ description: 'send it as Authorization: Bearer; seen this one time' }),
  expiresAt: time,
  user,
});

/** Who asks, and by what. */
export const me = Type.Object({
  id: Type.String(),
  name: Type.String(),
  role,
  createdAt: orNull(time),
  credential: Type.Object({
    kind: Type.Union([Type.Literal('local'), Type.Literal('session'), Type.Literal('key')]),
    id: Type.String(),
    role: orNull(role),
    actions: orNull(Type.Array(action)),
  }),
});

export const invitationBody = Type.Object({ role }, closed);
const invitationFields = { id: Type.String(), role, expiresAt: time };
export const invitationMade = Type.Object({
  ...invitationFields,
  code: Type.String({ description: 'whoever has it may register once; seen this one time' }),
});
export const invitationList = Type.Object({
  invitations: Type.Array(Type.Object({ ...invitationFields, invitedBy: Type.String(), createdAt: time })),
  nextCursor,
});
export const firstCode = Type.Object({
  code: orNull(Type.String({ description: 'with which the first admin registers; replaces an earlier one' })),
});

export const userChange = Type.Object(
  { role: Type.Optional(role), disabled: Type.Optional(Type.Boolean()) },
  { ...closed, minProperties: 1 },
);
export type UserChangeBody = Static<typeof userChange>;
export const sessionsEnded = Type.Object({ ended: count });
export const stats = Type.Object({
  users: count,
  disabled: count,
  sessions: count,
  apiKeys: count,
  invitations: count,
  byRole: Type.Object({ admin: count, operator: count, viewer: count, auditor: count }),
});

export const idParams = Type.Object({ id: shortText }, closed);

/** An API key without its secret. */
export const apiKey = Type.Object({
  id: Type.String(),
  owner: Type.String(),
  name: Type.String(),
  role,
  actions: orNull(Type.Array(action)),
  createdAt: time,
  expiresAt: time,
  lastUsedAt: orNull(time),
});
export const apiKeyList = Type.Object({ apiKeys: Type.Array(apiKey), nextCursor });
export const apiKeyBody = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 128 }),
    role: Type.Optional(role),
    actions: Type.Optional(orNull(Type.Array(action, { minItems: 1, maxItems: ACTION_NAMES.length }))),
    ttlSeconds: Type.Optional(Type.Number({ description: 'default: 90 days' })),
  },
  closed,
);
export const apiKeyMade = Type.Object({
  token: Type.String({ description: 'send it as Authorization: Bearer; seen this one time' }),
  apiKey,
});
