import type { Kysely } from 'kysely';
import { Accounts } from '#control/accounts/accounts.ts';
import { ApiKeys } from '#control/accounts/api-keys.ts';
import type { AccountStore } from '#control/accounts/store.ts';
import type { Authorizer } from '#control/authorizer.ts';
import type { RepeatStore } from '#control/repeats.ts';
import type { SharedState } from '#control/shared.ts';
import { Argon2Passwords } from '#io/password-argon2/passwords.ts';
import { systemRandom } from '#io/random-node/system-random.ts';
import { KyselyAccountStore } from '#io/store-kysely/accounts-store.ts';
import { KyselyRepeatStore } from '#io/store-kysely/repeat-store.ts';
import type { Tables } from '#io/store-kysely/tables.ts';
import { sha256Bytes } from '#io/x509-asn1/snapshot-verifier.ts';

/** People and their credentials, as the API works with them. */
export interface OpenedAccounts {
  readonly authorizer: Authorizer;
  readonly accounts: Accounts;
  readonly accountStore: AccountStore;
  readonly apiKeys: ApiKeys;
  readonly repeats: RepeatStore;
  readonly shared: SharedState;
  readonly wallMs: () => number;
}

export function openAccounts(database: Kysely<Tables>, shared: SharedState, authorizer: Authorizer): OpenedAccounts {
  const accountStore = new KyselyAccountStore(database);
  const ports = {
    store: accountStore,
    passwords: new Argon2Passwords(),
    shared,
    random: systemRandom,
    sha256: sha256Bytes,
    wallMs: Date.now,
    nowMs: () => performance.now(),
  };
  const accounts = new Accounts(ports);
  const apiKeys = new ApiKeys(ports, accounts.sessions, authorizer);
  const repeats = new KyselyRepeatStore(database);
  return { authorizer, accounts, accountStore, apiKeys, repeats, shared, wallMs: Date.now };
}
