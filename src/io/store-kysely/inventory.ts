import type { Kysely } from 'kysely';
import type { Inventory, ListedCertificate } from '#control/inventory.ts';
import type { StoredToken } from '#control/store.ts';
import { toToken } from '#io/store-kysely/control-rows.ts';
import type { Tables } from '#io/store-kysely/tables.ts';

export class KyselyInventory implements Inventory {
  readonly #database: Kysely<Tables>;

  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async listTokens(after: string, limit: number): Promise<readonly StoredToken[]> {
    const rows = this.#database.selectFrom('tokens').selectAll().where('id', '>', after).orderBy('id').limit(limit);
    return (await rows.execute()).map((row) => toToken(row));
  }

  async revokeToken(id: string): Promise<boolean> {
    const unused = this.#database.deleteFrom('tokens').where('id', '=', id).where('used_at_ms', 'is', null);
    return (await unused.executeTakeFirst()).numDeletedRows > 0n;
  }

  async listCertificates(after: string, limit: number, wallMs: number): Promise<readonly ListedCertificate[]> {
    const rows = this.#database
      .selectFrom('svids')
      .selectAll()
      .where('serial', '>', after)
      .where('not_after_ms', '>', wallMs)
      .orderBy('serial')
      .limit(limit);
    return (await rows.execute()).map((row) => ({
      serial: row.serial,
      node: row.node,
      spiffeId: row.spiffe_id,
      issuedAtMs: row.issued_at_ms,
      notAfterMs: row.not_after_ms,
      revokedEpoch: row.revoked_epoch,
    }));
  }
}
