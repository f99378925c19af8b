import { ok, type Result } from '#kernel/result.ts';
import type { Authorizer } from '#control/authorizer.ts';
import type { ApiAction } from '#control/contract/actions.ts';
import type { UserRole } from '#control/principal.ts';
import type { AccountPorts } from './ports.ts';
import { type AccountRefusal, refuseAccount } from './refusal.ts';
import { exceedingAction } from './rights.ts';
import { checkKeyLife } from './rules.ts';
import { makeSecret } from './secrets.ts';
import type { Authenticated, Sessions } from './sessions.ts';
import type { StoredKey } from './store.ts';

export interface KeyRequest {
  readonly name: string;
  readonly role: UserRole;
  /** Null: all that the role may. */
  readonly actions: readonly ApiAction[] | null;
  readonly ttlSeconds?: number | undefined;
}

export interface MadeKey {
  /** Seen this one time. */
  readonly token: string;
  readonly key: StoredKey;
}

/** More is a script that forgets what it made. */
const KEYS_OF_USER_LIMIT = 100;

/** API keys: credentials of scripts, with no more rights than whoever makes them. */
export class ApiKeys {
  readonly #ports: AccountPorts;
  readonly #sessions: Sessions;
  readonly #authorizer: Authorizer;

  constructor(ports: AccountPorts, sessions: Sessions, authorizer: Authorizer) {
    this.#ports = ports;
    this.#sessions = sessions;
    this.#authorizer = authorizer;
  }

  /** A key made by a key lives no longer than that one. */
  async create(caller: Authenticated, request: KeyRequest): Promise<Result<MadeKey, AccountRefusal>> {
    const life = checkKeyLife(request.ttlSeconds);
    if (!life.ok) return life;
    const { name, role, actions } = request;
    const exceeding = exceedingAction(this.#authorizer, caller, role, actions);
    if (exceeding !== undefined)
      return refuseAccount('RIGHTS_EXCEEDED', `you may not do ${exceeding} yourself, so no key of yours may`);
    const { id, text, secretHash } = makeSecret(this.#ports, 'k');
    const createdAtMs = this.#ports.wallMs();
    const expiresAtMs = Math.min(createdAtMs + life.value, caller.limits?.expiresAtMs ?? Number.MAX_SAFE_INTEGER);
    const userId = caller.principal.id;
    const key = { id, secretHash, userId, name, role, actions, createdAtMs, expiresAtMs, lastUsedAtMs: null };
    if (await this.#ports.store.putKey(key, KEYS_OF_USER_LIMIT)) return ok({ token: text, key });
    return refuseAccount('LIMIT_REACHED', `a user has at most ${KEYS_OF_USER_LIMIT} API keys`);
  }

  async revoke(id: string): Promise<Result<void, AccountRefusal>> {
    if (!(await this.#ports.store.deleteKey(id))) return refuseAccount('API_KEY_UNKNOWN', 'there is no such API key');
    await this.#sessions.announce(id);
    return ok(undefined);
  }
}
