import { type Kysely, sql } from 'kysely';
import { CodedError } from '#control/coded-error.ts';
import type { IssuerStore, NewIssuer, PendingIssuer } from '#control/lease/issuers.ts';
import type { Tables } from '#io/store-kysely/tables.ts';
import { transact } from '#io/store-kysely/transact.ts';

/** Issuing certificates as rows. */
export class KyselyIssuerStore implements IssuerStore {
  readonly #database: Kysely<Tables>;

  /** The handle stays the caller's, who closes it. */
  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async addIssuer({ der, hash, rootHash, notAfterMs }: NewIssuer, wallMs: number): Promise<void> {
    const other = await this.#database
      .selectFrom('issuers')
      .select('hash')
      .where('root_hash', '<>', rootHash)
      .executeTakeFirst();
    if (other !== undefined)
      throw new CodedError('TRUST_DOMAIN_DIFFERS', 'the database belongs to a mesh with another root');
    // The first one is that of the nodes there are, whoever wrote them down; a mesh without nodes has nobody to tell.
    const isReady = sql<number>`CASE WHEN EXISTS (SELECT 1 FROM issuers) AND EXISTS (SELECT 1 FROM nodes) THEN 0 ELSE 1 END`;
    await this.#database
      .insertInto('issuers')
      .values({
        hash,
        root_hash: rootHash,
        certificate: der.toBase64(),
        not_after_ms: notAfterMs,
        ready: isReady,
        added_at_ms: wallMs,
      })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }

  async listPending(wallMs: number): Promise<readonly PendingIssuer[]> {
    const rows = await this.#database
      .selectFrom('issuers')
      .select(['hash', 'added_at_ms'])
      .where('ready', '=', 0)
      .where('not_after_ms', '>', wallMs)
      .execute();
    return rows.map(({ hash, added_at_ms }) => ({ hash, addedAtMs: added_at_ms }));
  }

  async acknowledge(hash: string, replica: string): Promise<void> {
    const change = this.#database.insertInto('issuer_acks').values({ issuer: hash, replica });
    await change.onConflict((conflict) => conflict.doNothing()).execute();
  }

  async listAcknowledged(hash: string): Promise<ReadonlySet<string>> {
    const rows = await this.#database.selectFrom('issuer_acks').select('replica').where('issuer', '=', hash).execute();
    return new Set(rows.map(({ replica }) => replica));
  }

  async setReady(hash: string): Promise<void> {
    await transact(this.#database, async (on) => {
      await on.updateTable('issuers').set({ ready: 1 }).where('hash', '=', hash).execute();
      await on.deleteFrom('issuer_acks').where('issuer', '=', hash).execute();
    });
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
