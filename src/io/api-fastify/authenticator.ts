import { CodedError } from '#control/coded-error.ts';
import type { ApiAction } from '#control/contract/actions.ts';
import { LOCAL_ADMIN, type Principal } from '#control/principal.ts';
import { isSameSecret } from './guard.ts';

/** Who asks, and by what. */
export interface Authenticated {
  readonly principal: Principal;
  readonly credential: {
    readonly kind: 'local' | 'session' | 'key';
    readonly id: string;
  };
  /** Of an API key: what it may do at most, besides what its owner may. */
  readonly limits?: {
    /** The same id with the role that the key was given. */
    readonly principal: Principal;
    /** Null: whatever the role may. */
    readonly actions: readonly ApiAction[] | null;
  };
}

/** Whose credential this is; undefined for one that is not, or no longer, anybody's. */
export type CredentialReader = (bearer: string) => Promise<Authenticated | undefined>;

const LOCAL: Authenticated = { principal: LOCAL_ADMIN, credential: { kind: 'local', id: 'local' } };
/** Sessions and API keys; nothing else is looked up, least of all what looks like a JWT. */
const ACCOUNT_CREDENTIAL = /^x0[sk]_[0-9a-f]{32}_[0-9a-f]{64}$/;

/** Finds out who asks. Throws CREDENTIAL_WRONG. */
export class Authenticator {
  readonly #localToken: string;
  readonly #readCredential: CredentialReader;

  constructor(localToken: string, readCredential: CredentialReader) {
    this.#localToken = localToken;
    this.#readCredential = readCredential;
  }

  async authenticate(bearer: string): Promise<Authenticated> {
    if (ACCOUNT_CREDENTIAL.test(bearer)) {
      const known = await this.#readCredential(bearer);
      if (known !== undefined) return known;
    } else if (isSameSecret(bearer, this.#localToken)) return LOCAL;
    throw new CodedError(
      'CREDENTIAL_WRONG',
      'send Authorization: Bearer with a session, an API key, or the content of admin.token',
    );
  }
}
