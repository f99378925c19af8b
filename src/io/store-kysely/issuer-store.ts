import type { Kysely } from 'kysely';
import { CodedError } from '#control/coded-error.ts';
import type { IssuerStore } from '#control/lease/issuers.ts';
import type { Tables } from '#io/store-kysely/tables.ts';

/** Issuing certificates as rows. */
export class KyselyIssuerStore implements IssuerStore {
  readonly #database: Kysely<Tables>;

  /** The handle stays the caller's, who closes it. */
  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async addIssuer(issuer: Uint8Array, hash: string, rootHash: string, notAfterMs: number): Promise<void> {
    const other = await this.#database
      .selectFrom('issuers')
      .select('hash')
      .where('root_hash', '<>', rootHash)
      .executeTakeFirst();
    if (other !== undefined)
      throw new CodedError('TRUST_DOMAIN_DIFFERS', 'the database belongs to a mesh with another root');
    await this.#database
      .insertInto('issuers')
      .values({ hash, root_hash: rootHash, certificate: issuer.toBase64(), not_after_ms: notAfterMs })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }

  async listIssuers(wallMs: number): Promise<readonly Uint8Array[]> {
    const rows = await this.#database
      .selectFrom('issuers')
      .select('certificate')
      .where('not_after_ms', '>', wallMs)
      .orderBy('hash')
      .execute();
    return rows.map(({ certificate }) => Uint8Array.fromBase64(certificate));
  }
}
