import type { ApiAction } from '#control/contract/actions.ts';
import { USER_ROLES, type UserRole } from '#control/principal.ts';
import type { StoredInvitation, StoredKey, StoredSession, StoredUser } from '#control/accounts/store.ts';
import type { InvitationRow, KeyRow, SessionRow, UserRow } from '#io/store-kysely/account-tables.ts';

/** A role that this program does not know may do nothing that it knows of: the least there is. */
function toRole(text: string): UserRole {
  return USER_ROLES.find((role) => role === text) ?? 'viewer';
}

export function toUser(row: UserRow): StoredUser {
  const { id, name, role, password_hash, created_at_ms, disabled } = row;
  return {
    id,
    name,
    role: toRole(role),
    passwordHash: password_hash,
    createdAtMs: created_at_ms,
    isDisabled: disabled !== 0,
  };
}

export function userRow(user: StoredUser): UserRow {
  const { id, name, role, passwordHash, createdAtMs, isDisabled } = user;
  return { id, name, role, password_hash: passwordHash, created_at_ms: createdAtMs, disabled: Number(isDisabled) };
}

export function toSession(row: SessionRow): StoredSession {
  return {
    id: row.id,
    secretHash: row.secret_hash,
    userId: row.user_id,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
    lastUsedAtMs: row.last_used_at_ms,
  };
}

export function sessionRow(session: StoredSession): SessionRow {
  return {
    id: session.id,
    secret_hash: session.secretHash,
    user_id: session.userId,
    created_at_ms: session.createdAtMs,
    expires_at_ms: session.expiresAtMs,
    last_used_at_ms: session.lastUsedAtMs,
  };
}

export function toKey(row: KeyRow): StoredKey {
  return {
    id: row.id,
    secretHash: row.secret_hash,
    userId: row.user_id,
    name: row.name,
    role: toRole(row.role),
    actions: row.actions === null ? null : (JSON.parse(row.actions) as readonly ApiAction[]),
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
    lastUsedAtMs: row.last_used_at_ms,
  };
}

export function keyRow(key: StoredKey): KeyRow {
  return {
    id: key.id,
    secret_hash: key.secretHash,
    user_id: key.userId,
    name: key.name,
    role: key.role,
    actions: key.actions === null ? null : JSON.stringify(key.actions),
    created_at_ms: key.createdAtMs,
    expires_at_ms: key.expiresAtMs,
    last_used_at_ms: key.lastUsedAtMs,
  };
}

export function toInvitation(row: InvitationRow): StoredInvitation {
  return {
    id: row.id,
    secretHash: row.secret_hash,
    role: toRole(row.role),
    invitedBy: row.invited_by,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
  };
}

export function invitationRow(invitation: StoredInvitation): InvitationRow {
  return {
    id: invitation.id,
    secret_hash: invitation.secretHash,
    role: invitation.role,
    invited_by: invitation.invitedBy,
    created_at_ms: invitation.createdAtMs,
    expires_at_ms: invitation.expiresAtMs,
  };
}
