import type { Authenticated } from '#control/accounts/sessions.ts';
import { CodedError } from '#control/coded-error.ts';
import { LOCAL_ADMIN } from '#control/principal.ts';
import { isSameSecret } from './guard.ts';

export type { Authenticated };

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
