import { ok, type Result } from '#kernel/result.ts';
import type { ApiAction } from '#control/contract/actions.ts';
import { LOCAL_ADMIN, type Principal, type UserRole } from '#control/principal.ts';
import { CredentialCache } from './credential-cache.ts';
import type { AccountPorts } from './ports.ts';
import { type AccountRefusal, refuseAccount } from './refusal.ts';
import { makeSecret, parseSecret, type ParsedSecret } from './secrets.ts';
import type { Owned, StoredKey, StoredSession, StoredUser } from './store.ts';

/** Who asks, and by what. */
export interface Authenticated {
  readonly principal: Principal;
  readonly credential: { readonly kind: 'local' | 'session' | 'key'; readonly id: string };
  /** Undefined for the holder of admin.token, and of its keys. */
  readonly user?: StoredUser;
  /** Of an API key: what it may do at most, besides what its owner may. */
  readonly limits?: {
    /** The owner with the role that the key was given. */
    readonly principal: Principal;
    /** Null: whatever the role may. */
    readonly actions: readonly ApiAction[] | null;
    readonly expiresAtMs: number;
  };
}

/** A session as its user gets it; the only time that its secret is seen. */
export interface OpenedSession {
  readonly token: string;
  readonly expiresAtMs: number;
  readonly user: StoredUser;
}

const HOUR_MS = 3_600_000;
export const SESSION_IDLE_MS = 12 * HOUR_MS;
export const SESSION_LIFE_MS = 7 * 24 * HOUR_MS;
/** Clocks of replicas differ by less, or their certificates would fail. */
const CLOCK_SKEW_MS = 5 * 60_000;
/** Use is written down no more often than this: a read is no write. */
const TOUCH_MS = 60_000;
/** A script that logs in for each request fills no disk. */
const SESSIONS_OF_USER_LIMIT = 1_000;
const CHANNEL = 'accounts';
const ALL = '*';

/** Sessions and API keys in use: whose each is, for as long as it counts. */
export class Sessions {
  readonly #ports: AccountPorts;
  readonly #sessions: CredentialCache<Owned<StoredSession>>;
  readonly #keys: CredentialCache<Owned<StoredKey>>;
  readonly #unsubscribe: () => void;

  constructor(ports: AccountPorts) {
    this.#ports = ports;
    this.#sessions = new CredentialCache(ports.nowMs);
    this.#keys = new CredentialCache(ports.nowMs);
    this.#unsubscribe = ports.shared.subscribe(CHANNEL, (id) => this.#forget(id));
  }

  close(): void {
    this.#unsubscribe();
  }

  /** Undefined for what is no credential, or none that counts any more. */
  async authenticate(text: string): Promise<Authenticated | undefined> {
    const parsed = parseSecret(this.#ports.sha256, text);
    if (parsed?.kind === 's') return await this.#readSession(parsed);
    return parsed?.kind === 'k' ? await this.#readKey(parsed) : undefined;
  }

  /** Undefined when the user was disabled or its password changed since it was looked at: that ends sessions, and this one too. */
  async open(user: StoredUser): Promise<OpenedSession | undefined> {
    const { store, wallMs } = this.#ports;
    const { id, text, secretHash } = makeSecret(this.#ports, 's');
    const createdAtMs = wallMs();
    const expiresAtMs = createdAtMs + SESSION_LIFE_MS;
    const times = { createdAtMs, expiresAtMs, lastUsedAtMs: createdAtMs };
    await store.putSession({ id, secretHash, userId: user.id, ...times }, SESSIONS_OF_USER_LIMIT);
    const now = await store.findUser(user.id);
    if (now?.isDisabled === false && now.passwordHash === user.passwordHash) return { token: text, expiresAtMs, user };
    await store.deleteSession(id);
    return undefined;
  }

  /** A new secret for the session, whose end stays; the old one ends. */
  async refresh(text: string): Promise<Result<OpenedSession, AccountRefusal>> {
    const { store, wallMs, sha256 } = this.#ports;
    const parsed = parseSecret(sha256, text);
    const found = parsed?.kind === 's' ? await store.findSession(parsed.id) : undefined;
    if (parsed === undefined || found?.user === undefined) return sessionOver();
    const { credential, user } = found;
    if (!isOpen(found, wallMs())) return sessionOver();
    const fresh = makeSecret(this.#ports, 's', parsed.id);
    const isOwn = credential.secretHash === parsed.secretHash;
    if (isOwn && (await store.rotateSession(parsed.id, parsed.secretHash, fresh.secretHash, wallMs()))) {
      await this.announce(parsed.id);
      return ok({ token: fresh.text, expiresAtMs: credential.expiresAtMs, user });
    }
    return sessionOver();
  }

  /** Ends one session, everywhere. */
  async end(id: string): Promise<void> {
    await this.#ports.store.deleteSession(id);
    await this.announce(id);
  }

  /** Ends all sessions of a user, everywhere; how many there were. */
  async endAll(userId: string): Promise<number> {
    const count = await this.#ports.store.deleteSessions(userId);
    await this.announce();
    return count;
  }

  /** Makes what the store says now of a session or key, or of all, count at once. */
  async announce(id = ALL): Promise<void> {
    this.#forget(id);
    await this.#ports.shared.publish(CHANNEL, id);
  }

  #forget(id: string): void {
    for (const cache of [this.#sessions, this.#keys]) {
      if (id === ALL) cache.forgetAll();
      else cache.forget(id);
    }
  }

  async #readSession({ id, secretHash }: ParsedSecret): Promise<Authenticated | undefined> {
    const { store, wallMs } = this.#ports;
    const found = await this.#sessions.find(id, async () => store.findSession(id));
    const nowMs = wallMs();
    if (found === undefined || found.credential.secretHash !== secretHash || !isOpen(found, nowMs)) return undefined;
    if (nowMs - found.credential.lastUsedAtMs >= TOUCH_MS) {
      await store.touchSession(id, nowMs);
      this.#sessions.forget(id);
    }
    return {
      principal: principalOf(found),
      credential: { kind: 'session', id },
      ...(found.user && { user: found.user }),
    };
  }

  async #readKey({ id, secretHash }: ParsedSecret): Promise<Authenticated | undefined> {
    const { store, wallMs } = this.#ports;
    const found = await this.#keys.find(id, async () => store.findKey(id));
    const nowMs = wallMs();
    if (found === undefined || found.credential.secretHash !== secretHash) return undefined;
    const { expiresAtMs, lastUsedAtMs, role, actions } = found.credential;
    if (nowMs >= expiresAtMs || isOfTomorrow(found.credential, nowMs)) return undefined;
    if (found.user?.isDisabled === true) return undefined;
    if (nowMs - (lastUsedAtMs ?? 0) >= TOUCH_MS) {
      await store.touchKey(id, nowMs);
      this.#keys.forget(id);
    }
    const principal = principalOf(found);
    const limits = { principal: { ...principal, roles: [role] }, actions, expiresAtMs };
    return { principal, credential: { kind: 'key', id }, limits, ...(found.user && { user: found.user }) };
  }
}

/** The store knows no owner but users and `local`. */
function principalOf({ user }: Owned<unknown>): Principal {
  return user === undefined ? LOCAL_ADMIN : userPrincipal(user.id, user.role);
}

export function userPrincipal(id: string, role: UserRole): Principal {
  return { kind: 'user', id, roles: [role] };
}

function isOpen({ credential, user }: Owned<StoredSession>, wallMs: number): boolean {
  const { expiresAtMs, lastUsedAtMs } = credential;
  if (user?.isDisabled !== false || isOfTomorrow(credential, wallMs)) return false;
  return wallMs < expiresAtMs && wallMs - lastUsedAtMs < SESSION_IDLE_MS;
}

/** Made or used by a clock that was set back since: its end is further away than was meant. */
function isOfTomorrow(
  { createdAtMs, lastUsedAtMs }: Pick<StoredKey, 'createdAtMs' | 'lastUsedAtMs'>,
  wallMs: number,
): boolean {
  return Math.max(createdAtMs, lastUsedAtMs ?? 0) > wallMs + CLOCK_SKEW_MS;
}

function sessionOver(): { readonly ok: false; readonly error: AccountRefusal } {
  return refuseAccount('CREDENTIAL_WRONG', 'this session has ended; log in again');
}
