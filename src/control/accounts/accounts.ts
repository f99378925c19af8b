import { ok, type Result } from '#kernel/result.ts';
import type { UserRole } from '#control/principal.ts';
import { type Attempt, LoginGuard } from './login-guard.ts';
import type { AccountPorts } from './ports.ts';
import { type AccountRefusal, busy, refuseAccount } from './refusal.ts';
import { checkPassword, checkUserName, INVITATION_LIFE_MS, PASSWORD_MOST_CHARS } from './rules.ts';
import { makeSecret, type ParsedSecret, parseSecret } from './secrets.ts';
import { type OpenedSession, Sessions } from './sessions.ts';
import type { StoredInvitation, StoredUser, UserChange } from './store.ts';

/** A code with which one person may register; the only time that it is seen. */
export interface MadeInvitation extends Pick<StoredInvitation, 'id' | 'role' | 'expiresAtMs'> {
  readonly code: string;
}

interface Newcomer {
  readonly code: string;
  readonly name: string;
  readonly password: string;
  /** Where the request came from. */
  readonly address: string;
}

/** The first admin's code counts until it is used or the next start. */
const FIRST_CODE_LIFE_MS = 10 * 366 * 24 * 3_600_000;

/** People: how they come in by a code, prove themselves, and change. */
export class Accounts {
  readonly sessions: Sessions;
  readonly #ports: AccountPorts;
  readonly #guard: LoginGuard;

  constructor(ports: AccountPorts) {
    this.#ports = ports;
    this.sessions = new Sessions(ports);
    this.#guard = new LoginGuard(ports.shared, ports.wallMs);
  }

  /** A code with which one person may register within a week. `invitedBy`: a user's id or `local`. */
  async invite(role: UserRole, invitedBy: string): Promise<MadeInvitation> {
    const { code, ...invitation } = this.#makeInvitation(role, invitedBy, INVITATION_LIFE_MS);
    await this.#ports.store.putInvitation(invitation);
    return { id: invitation.id, role, expiresAtMs: invitation.expiresAtMs, code };
  }

  /** The first admin's code, which replaces an earlier one; undefined when there is an admin. */
  async inviteFirst(): Promise<string | undefined> {
    const { code, ...invitation } = this.#makeInvitation('admin', 'start', FIRST_CODE_LIFE_MS);
    return (await this.#ports.store.putFirstInvitation(invitation)) ? code : undefined;
  }

  #makeInvitation(role: UserRole, invitedBy: string, lifeMs: number): StoredInvitation & { readonly code: string } {
    const { id, text, secretHash } = makeSecret(this.#ports, 'i');
    const createdAtMs = this.#ports.wallMs();
    return { id, secretHash, role, invitedBy, createdAtMs, expiresAtMs: createdAtMs + lifeMs, code: text };
  }

  /** The cheap checks come first: who has no code costs no hash. */
  async register({ code, name, password, address }: Newcomer): Promise<Result<OpenedSession, AccountRefusal>> {
    const checked = checkUserName(name);
    if (!checked.ok) return checked;
    const strong = checkPassword(password, checked.value);
    if (!strong.ok) return strong;
    const waitMs = await this.#guard.waitMs({ account: undefined, address });
    if (waitMs !== undefined) return tooOften(waitMs);
    const invitation = await this.#findInvitation(code);
    if (invitation === undefined) return await this.#refuseCode(address);
    const { store, passwords, random, wallMs } = this.#ports;
    const passwordHash = await passwords.hash(password);
    if (passwordHash === undefined) return busy();
    const id = random.bytes(16).toHex();
    const newcomer = { id, name: checked.value, passwordHash, createdAtMs: wallMs(), isDisabled: false };
    const user = await store.register(invitation, newcomer, wallMs());
    if (user === 'CODE_WRONG') return await this.#refuseCode(address);
    if (user === 'USER_EXISTS') return refuseAccount(user, `there is a user ${checked.value}`);
    return await this.#open(user);
  }

  async #open(user: StoredUser): Promise<Result<OpenedSession, AccountRefusal>> {
    const opened = await this.sessions.open(user);
    return opened === undefined ? wrongLogin() : ok(opened);
  }

  async #findInvitation(code: string): Promise<ParsedSecret | undefined> {
    const parsed = parseSecret(this.#ports.sha256, code);
    if (parsed?.kind !== 'i') return undefined;
    const stored = await this.#ports.store.findInvitation(parsed.id);
    if (stored === undefined || stored.secretHash !== parsed.secretHash) return undefined;
    return stored.expiresAtMs > this.#ports.wallMs() ? parsed : undefined;
  }

  async #refuseCode(address: string): Promise<{ readonly ok: false; readonly error: AccountRefusal }> {
    const waitMs = await this.#guard.handleFailure({ account: undefined, address });
    return waitMs === undefined
      ? refuseAccount('CODE_WRONG', 'this code was used, has expired, or never was; ask an admin for another')
      : tooOften(waitMs);
  }

  /**
   * Every failure says the same and takes as long, whether there is such a user or not. Whoever failed too often is refused
   * also with the right password: of guesses that wait for their turn together only the first few are told anything.
   */
  async login(name: string, password: string, address: string): Promise<Result<OpenedSession, AccountRefusal>> {
    const attempt: Attempt = { account: name.toLowerCase(), address };
    const waitMs = await this.#guard.waitMs(attempt);
    if (waitMs !== undefined) return tooOften(waitMs);
    const { store, passwords } = this.#ports;
    const user = await store.findUserByName(name.toLowerCase());
    const isRight = await passwords.verify(password.slice(0, PASSWORD_MOST_CHARS + 1), user?.passwordHash);
    if (isRight === undefined) return busy();
    const stillMs = await this.#guard.waitMs(attempt);
    if (stillMs !== undefined) return tooOften(stillMs);
    if (isRight && user?.isDisabled === false) return await this.#open(user);
    const nextMs = await this.#guard.handleFailure(attempt);
    return nextMs === undefined ? wrongLogin() : tooOften(nextMs);
  }

  /** Ends every session of the user, and opens a new one for whoever changed the password. */
  async changePassword(
    id: string,
    old: string,
    wanted: string,
    address: string,
  ): Promise<Result<OpenedSession, AccountRefusal>> {
    const { store, passwords } = this.#ports;
    const user = await store.findUser(id);
    if (user === undefined) return unknownUser();
    const strong = checkPassword(wanted, user.name);
    if (!strong.ok) return strong;
    const attempt: Attempt = { account: user.name, address };
    const waitMs = await this.#guard.waitMs(attempt);
    if (waitMs !== undefined) return tooOften(waitMs);
    const isRight = await passwords.verify(old.slice(0, PASSWORD_MOST_CHARS + 1), user.passwordHash);
    if (isRight === undefined) return busy();
    if (!isRight) {
      const nextMs = await this.#guard.handleFailure(attempt);
      return nextMs === undefined ? wrongLogin() : tooOften(nextMs);
    }
    const newHash = await passwords.hash(wanted);
    if (newHash === undefined) return busy();
    if (!(await store.changePassword(id, user.passwordHash, newHash))) return wrongLogin();
    await this.sessions.announce();
    return await this.#open({ ...user, passwordHash: newHash });
  }

  /** In force with the next request, everywhere within a second. */
  async changeUser(id: string, change: UserChange): Promise<Result<StoredUser, AccountRefusal>> {
    const changed = await this.#ports.store.changeUser(id, change);
    if (changed === 'USER_UNKNOWN') return unknownUser();
    if (changed === 'LAST_ADMIN') return refuseAccount(changed, 'nobody else is an admin; make someone one first');
    await this.sessions.announce();
    return ok(changed);
  }
}

function wrongLogin(): { readonly ok: false; readonly error: AccountRefusal } {
  return refuseAccount('LOGIN_WRONG', 'no user has this name and password');
}

function unknownUser(): { readonly ok: false; readonly error: AccountRefusal } {
  return refuseAccount('USER_UNKNOWN', 'there is no such user');
}

function tooOften(waitMs: number): { readonly ok: false; readonly error: AccountRefusal } {
  return refuseAccount('LOGIN_TOO_OFTEN', `too many failures; wait ${Math.ceil(waitMs / 1_000)} s`, waitMs);
}
