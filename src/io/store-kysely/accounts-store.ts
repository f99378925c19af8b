import type { Kysely, Transaction } from 'kysely';
import type {
  AccountCounts,
  AccountStore,
  Owned,
  RegisterRefusal,
  StoredInvitation,
  StoredKey,
  StoredSession,
  StoredUser,
  UserChange,
} from '#control/accounts/store.ts';
import { LOCAL_ADMIN, USER_ROLES, type UserRole } from '#control/principal.ts';
import {
  invitationRow,
  keyRow,
  sessionRow,
  toInvitation,
  toKey,
  toSession,
  toUser,
  userRow,
} from '#io/store-kysely/account-rows.ts';
import { transact } from '#io/store-kysely/transact.ts';
import type { Tables } from '#io/store-kysely/tables.ts';

type Connection = Kysely<Tables> | Transaction<Tables>;

/** Who invited the first admin. */
const START = 'start';

/** People and their credentials in SQLite or PostgreSQL. */
export class KyselyAccountStore implements AccountStore {
  readonly #database: Kysely<Tables>;

  /** The handle stays the caller's, who closes it. */
  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async putInvitation(invitation: StoredInvitation): Promise<void> {
    const { createdAtMs } = invitation;
    await transact(this.#database, async (on) => {
      await on.deleteFrom('invitations').where('expires_at_ms', '<=', createdAtMs).execute();
      await on.insertInto('invitations').values(invitationRow(invitation)).execute();
    });
  }

  async putFirstInvitation(invitation: StoredInvitation): Promise<boolean> {
    return await transact(this.#database, async (on) => {
      await queueUp(on);
      if (await hasAdmin(on)) return false;
      await on.deleteFrom('invitations').where('invited_by', '=', START).execute();
      await on.insertInto('invitations').values(invitationRow(invitation)).execute();
      return true;
    });
  }

  async findInvitation(id: string): Promise<StoredInvitation | undefined> {
    const row = await this.#database.selectFrom('invitations').selectAll().where('id', '=', id).executeTakeFirst();
    return row && toInvitation(row);
  }

  async listInvitations(after: string, limit: number, wallMs: number): Promise<readonly StoredInvitation[]> {
    const rows = this.#database.selectFrom('invitations').selectAll().where('id', '>', after);
    const living = rows.where('expires_at_ms', '>', wallMs).orderBy('id').limit(limit);
    return (await living.execute()).map(toInvitation);
  }

  async deleteInvitation(id: string): Promise<boolean> {
    const change = this.#database.deleteFrom('invitations').where('id', '=', id);
    return (await change.executeTakeFirst()).numDeletedRows > 0n;
  }

  async register(
    { id, secretHash }: Pick<StoredInvitation, 'id' | 'secretHash'>,
    user: Omit<StoredUser, 'role'>,
    wallMs: number,
  ): Promise<StoredUser | RegisterRefusal> {
    return await transact(this.#database, async (on) => {
      await queueUp(on);
      const known = await on.selectFrom('users').select('id').where('name', '=', user.name).executeTakeFirst();
      const taken = on.deleteFrom('invitations').where('id', '=', id).where('secret_hash', '=', secretHash);
      if (known !== undefined) return (await isOpen(on, id, secretHash, wallMs)) ? 'USER_EXISTS' : 'CODE_WRONG';
      const invitation = await taken.where('expires_at_ms', '>', wallMs).returningAll().executeTakeFirst();
      if (invitation === undefined || !(await mayInvite(on, invitation.invited_by))) return 'CODE_WRONG';
      const made = { ...user, role: toInvitation(invitation).role };
      await on.insertInto('users').values(userRow(made)).execute();
      return made;
    });
  }

  async findUser(id: string): Promise<StoredUser | undefined> {
    const row = await this.#database.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst();
    return row && toUser(row);
  }

  async findUserByName(name: string): Promise<StoredUser | undefined> {
    const row = await this.#database.selectFrom('users').selectAll().where('name', '=', name).executeTakeFirst();
    return row && toUser(row);
  }

  async listUsers(after: string, limit: number): Promise<readonly StoredUser[]> {
    const rows = this.#database.selectFrom('users').selectAll().where('id', '>', after).orderBy('id').limit(limit);
    return (await rows.execute()).map(toUser);
  }

  async changeUser(id: string, change: UserChange): Promise<StoredUser | 'USER_UNKNOWN' | 'LAST_ADMIN'> {
    return await transact(this.#database, async (on) => {
      await queueUp(on);
      const known = await on.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst();
      if (known === undefined) return 'USER_UNKNOWN';
      const before = toUser(known);
      const after = { ...before, ...change };
      const leaves = isAdmin(before) && !isAdmin(after);
      if (leaves && !(await hasAdmin(on, id))) return 'LAST_ADMIN';
      const { role, disabled } = userRow(after);
      await on.updateTable('users').set({ role, disabled }).where('id', '=', id).execute();
      if (after.isDisabled) await on.deleteFrom('sessions').where('user_id', '=', id).execute();
      return after;
    });
  }

  async changePassword(id: string, oldHash: string, newHash: string): Promise<boolean> {
    return await transact(this.#database, async (on) => {
      const change = on.updateTable('users').set({ password_hash: newHash }).where('id', '=', id);
      const { numUpdatedRows } = await change.where('password_hash', '=', oldHash).executeTakeFirst();
      if (numUpdatedRows === 0n) return false;
      await on.deleteFrom('sessions').where('user_id', '=', id).execute();
      return true;
    });
  }

  async counts(wallMs: number): Promise<AccountCounts> {
    const roles = await this.#database
      .selectFrom('users')
      .select(['role', 'disabled'])
      .select((on) => on.fn.countAll<number | string>().as('total'))
      .groupBy(['role', 'disabled'])
      .execute();
    const sum = (rows: typeof roles): number => rows.reduce((total, row) => total + Number(row.total), 0);
    const byRole = USER_ROLES.map((role) => [role, sum(roles.filter((row) => row.role === role))] as const);
    const [sessions, apiKeys, invitations] = await Promise.all(
      (['sessions', 'api_keys', 'invitations'] as const).map(async (table) => this.#countLiving(table, wallMs)),
    );
    return {
      users: sum(roles),
      disabled: sum(roles.filter((row) => row.disabled !== 0)),
      sessions: sessions ?? 0,
      apiKeys: apiKeys ?? 0,
      invitations: invitations ?? 0,
      byRole: Object.fromEntries(byRole) as Record<UserRole, number>,
    };
  }

  async #countLiving(table: 'sessions' | 'api_keys' | 'invitations', wallMs: number): Promise<number> {
    const count = this.#database.selectFrom(table).select((on) => on.fn.countAll<number | string>().as('total'));
    return Number((await count.where('expires_at_ms', '>', wallMs).executeTakeFirstOrThrow()).total);
  }

  async putSession(session: StoredSession, mostOfUser: number): Promise<void> {
    const { userId, createdAtMs } = session;
    await transact(this.#database, async (on) => {
      await on.deleteFrom('sessions').where('expires_at_ms', '<=', createdAtMs).execute();
      await on.insertInto('sessions').values(sessionRow(session)).execute();
      const oldest = await on
        .selectFrom('sessions')
        .select('last_used_at_ms')
        .where('user_id', '=', userId)
        .orderBy('last_used_at_ms', 'desc')
        .offset(mostOfUser)
        .limit(1)
        .executeTakeFirst();
      if (oldest === undefined) return;
      const surplus = on.deleteFrom('sessions').where('user_id', '=', userId).where('id', '!=', session.id);
      await surplus.where('last_used_at_ms', '<=', oldest.last_used_at_ms).execute();
    });
  }

  async findSession(id: string): Promise<Owned<StoredSession> | undefined> {
    const row = await this.#database
      .selectFrom('sessions')
      .innerJoin('users', 'users.id', 'sessions.user_id')
      .selectAll('sessions')
      .select(['name', 'role', 'password_hash', 'disabled', 'users.created_at_ms as user_since_ms'])
      .where('sessions.id', '=', id)
      .executeTakeFirst();
    if (row === undefined) return undefined;
    return { credential: toSession(row), user: toUser({ ...row, id: row.user_id, created_at_ms: row.user_since_ms }) };
  }

  async rotateSession(id: string, oldHash: string, newHash: string, wallMs: number): Promise<boolean> {
    const change = { secret_hash: newHash, last_used_at_ms: wallMs };
    const session = this.#database.updateTable('sessions').set(change).where('id', '=', id);
    return (await session.where('secret_hash', '=', oldHash).executeTakeFirst()).numUpdatedRows > 0n;
  }

  async touchSession(id: string, wallMs: number): Promise<void> {
    await this.#database.updateTable('sessions').set({ last_used_at_ms: wallMs }).where('id', '=', id).execute();
  }

  async deleteSession(id: string): Promise<boolean> {
    const change = this.#database.deleteFrom('sessions').where('id', '=', id);
    return (await change.executeTakeFirst()).numDeletedRows > 0n;
  }

  async deleteSessions(userId: string): Promise<number> {
    const change = this.#database.deleteFrom('sessions').where('user_id', '=', userId);
    return Number((await change.executeTakeFirst()).numDeletedRows);
  }

  async putKey(key: StoredKey, mostOfUser: number): Promise<boolean> {
    return await transact(this.#database, async (on) => {
      await queueUp(on);
      const { userId, createdAtMs } = key;
      await on.deleteFrom('api_keys').where('user_id', '=', userId).where('expires_at_ms', '<=', createdAtMs).execute();
      const count = on.selectFrom('api_keys').select((each) => each.fn.countAll<number | string>().as('total'));
      const { total } = await count.where('user_id', '=', userId).executeTakeFirstOrThrow();
      if (Number(total) >= mostOfUser) return false;
      await on.insertInto('api_keys').values(keyRow(key)).execute();
      return true;
    });
  }

  async findKey(id: string): Promise<Owned<StoredKey> | undefined> {
    const row = await this.#database.selectFrom('api_keys').selectAll().where('id', '=', id).executeTakeFirst();
    if (row === undefined) return undefined;
    const user = await this.findUser(row.user_id);
    if (user === undefined && row.user_id !== 'local') return undefined;
    return { credential: toKey(row), user };
  }

  async listKeys(userId: string | undefined, after: string, limit: number): Promise<readonly StoredKey[]> {
    const all = this.#database.selectFrom('api_keys').selectAll().where('id', '>', after).orderBy('id').limit(limit);
    const rows = userId === undefined ? all : all.where('user_id', '=', userId);
    return (await rows.execute()).map(toKey);
  }

  async touchKey(id: string, wallMs: number): Promise<void> {
    await this.#database.updateTable('api_keys').set({ last_used_at_ms: wallMs }).where('id', '=', id).execute();
  }

  async deleteKey(id: string): Promise<boolean> {
    const change = this.#database.deleteFrom('api_keys').where('id', '=', id);
    return (await change.executeTakeFirst()).numDeletedRows > 0n;
  }
}

/** Who changes what others judge by waits until they have; a lock that SQLite has anyway. */
async function queueUp(on: Connection): Promise<void> {
  const row = on.updateTable('counters').set((set) => ({ value: set('value', '+', 1) }));
  await row.where('name', '=', 'accounts').execute();
}

async function hasAdmin(on: Connection, otherThan = ''): Promise<boolean> {
  const admins = on.selectFrom('users').select('id').where('role', '=', 'admin').where('disabled', '=', 0);
  return (await admins.where('id', '!=', otherThan).limit(1).executeTakeFirst()) !== undefined;
}

/** Whoever invited must still be one who may: what an admin prepared does not outlive that. */
async function mayInvite(on: Connection, inviter: string): Promise<boolean> {
  if (inviter === START || inviter === LOCAL_ADMIN.id) return true;
  const admins = on.selectFrom('users').select('id').where('role', '=', 'admin').where('disabled', '=', 0);
  return (await admins.where('id', '=', inviter).executeTakeFirst()) !== undefined;
}

function isAdmin({ role, isDisabled }: Pick<StoredUser, 'role' | 'isDisabled'>): boolean {
  return role === 'admin' && !isDisabled;
}

async function isOpen(on: Connection, id: string, secretHash: string, wallMs: number): Promise<boolean> {
  const row = on.selectFrom('invitations').select('id').where('id', '=', id).where('secret_hash', '=', secretHash);
  return (await row.where('expires_at_ms', '>', wallMs).executeTakeFirst()) !== undefined;
}
