import type { ApiAction } from '#control/contract/actions.ts';
import type { UserRole } from '#control/principal.ts';

/** A person. Times are Unix epoch milliseconds, here and below. */
export interface StoredUser {
  /** 32 hexadecimal digits. */
  readonly id: string;
  /** What is typed at login; lower-case, a name or an email address. */
  readonly name: string;
  readonly role: UserRole;
  /** argon2id, in PHC form. */
  readonly passwordHash: string;
  readonly createdAtMs: number;
  readonly isDisabled: boolean;
}

/** Secrets are kept as SHA-256, hexadecimal. */
export interface StoredSession {
  readonly id: string;
  readonly secretHash: string;
  readonly userId: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly lastUsedAtMs: number;
}

export interface StoredKey {
  readonly id: string;
  readonly secretHash: string;
  /** The owner; `local` for whoever holds admin.token. */
  readonly userId: string;
  readonly name: string;
  readonly role: UserRole;
  /** The only actions that it may do; null: all that its role may. */
  readonly actions: readonly ApiAction[] | null;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly lastUsedAtMs: number | null;
}

/** Who holds the code may register once. */
export interface StoredInvitation {
  readonly id: string;
  readonly secretHash: string;
  readonly role: UserRole;
  /** A user's id, or `local`; `start` for the first admin's. */
  readonly invitedBy: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

/** A session or key with its owner: undefined for `local`, who is no user. */
export interface Owned<T> {
  readonly credential: T;
  readonly user: StoredUser | undefined;
}

export interface UserChange {
  readonly role?: UserRole;
  readonly isDisabled?: boolean;
}

export interface AccountCounts {
  readonly users: number;
  readonly disabled: number;
  readonly sessions: number;
  readonly apiKeys: number;
  readonly invitations: number;
  readonly byRole: Readonly<Record<UserRole, number>>;
}

export type RegisterRefusal = 'CODE_WRONG' | 'USER_EXISTS';

/**
 * Every method is atomic and durable when its promise resolves; `tests/fixtures/accounts-store-suite.ts` is the
 * specification. Lists come by id or name, after the given one.
 */
export interface AccountStore {
  putInvitation(invitation: StoredInvitation): Promise<void>;
  /** Replaces the earlier first code; false, and nothing is stored, when there is an admin. */
  putFirstInvitation(invitation: StoredInvitation): Promise<boolean>;
  findInvitation(id: string): Promise<StoredInvitation | undefined>;
  listInvitations(after: string, limit: number, wallMs: number): Promise<readonly StoredInvitation[]>;
  deleteInvitation(id: string): Promise<boolean>;
  /**
   * Spends the invitation for this user, of many callers for one. A name that is taken spends nothing. `CODE_WRONG` also when
   * whoever invited is no admin any more, or disabled.
   */
  register(
    invitation: Pick<StoredInvitation, 'id' | 'secretHash'>,
    user: Omit<StoredUser, 'role'>,
    wallMs: number,
  ): Promise<StoredUser | RegisterRefusal>;

  findUser(id: string): Promise<StoredUser | undefined>;
  findUserByName(name: string): Promise<StoredUser | undefined>;
  listUsers(after: string, limit: number): Promise<readonly StoredUser[]>;
  /** Disabling ends the user's sessions. `LAST_ADMIN`: nobody who can log in would be an admin. */
  changeUser(id: string, change: UserChange): Promise<StoredUser | 'USER_UNKNOWN' | 'LAST_ADMIN'>;
  /** Ends all sessions of the user; false when the hash is not `oldHash` any more. */
  changePassword(id: string, oldHash: string, newHash: string): Promise<boolean>;
  counts(wallMs: number): Promise<AccountCounts>;

  /** Forgets sessions that are over, and of one user the least used ones above `mostOfUser`. */
  putSession(session: StoredSession, mostOfUser: number): Promise<void>;
  findSession(id: string): Promise<Owned<StoredSession> | undefined>;
  /** False when the secret is not `oldHash` any more. */
  rotateSession(id: string, oldHash: string, newHash: string, wallMs: number): Promise<boolean>;
  touchSession(id: string, wallMs: number): Promise<void>;
  deleteSession(id: string): Promise<boolean>;
  /** How many there were. */
  deleteSessions(userId: string): Promise<number>;

  /** False, and nothing is stored, when the owner has `mostOfUser` that have not expired. */
  putKey(key: StoredKey, mostOfUser: number): Promise<boolean>;
  findKey(id: string): Promise<Owned<StoredKey> | undefined>;
  /** Of one owner, or of all. */
  listKeys(userId: string | undefined, after: string, limit: number): Promise<readonly StoredKey[]>;
  touchKey(id: string, wallMs: number): Promise<void>;
  deleteKey(id: string): Promise<boolean>;
}
