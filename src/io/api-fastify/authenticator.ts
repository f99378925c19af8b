import { hash } from 'node:crypto';
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
/** Credentials that counted lately, by their hash; the least lately used one is forgotten first. */
const PROVEN_LIMIT = 10_000;

/** Finds out who asks. Throws CREDENTIAL_WRONG. */
export class Authenticator {
  readonly #localToken: string;
  readonly #readCredential: CredentialReader;
  readonly #proven = new Set<string>();

  constructor(localToken: string, readCredential: CredentialReader) {
    this.#localToken = localToken;
    this.#readCredential = readCredential;
  }

  async authenticate(bearer: string): Promise<Authenticated> {
    if (ACCOUNT_CREDENTIAL.test(bearer)) {
      const known = await this.#readCredential(bearer);
      this.#note(bearer, known !== undefined);
      if (known !== undefined) return known;
    } else if (isSameSecret(bearer, this.#localToken)) return LOCAL;
    throw new CodedError(
      'CREDENTIAL_WRONG',
      'send Authorization: Bearer with a session, an API key, or the content of admin.token',
    );
  }

  /** Whether it counted when it was last asked for; costs nobody a look into the database. */
  hasCounted(bearer: string): boolean {
    if (ACCOUNT_CREDENTIAL.test(bearer)) return this.#proven.has(hash('sha256', bearer));
    return isSameSecret(bearer, this.#localToken);
  }

  #note(bearer: string, isGood: boolean): void {
    const digest = hash('sha256', bearer);
    this.#proven.delete(digest);
    if (!isGood) return;
    for (const oldest of this.#proven) {
      if (this.#proven.size < PROVEN_LIMIT) break;
      this.#proven.delete(oldest);
    }
    this.#proven.add(digest);
  }
}
