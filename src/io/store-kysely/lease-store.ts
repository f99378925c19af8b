import { type Kysely, PostgresAdapter, type RawBuilder, sql } from 'kysely';
import type { LeaseStore } from '#control/lease/lease.ts';
import type { Tables } from '#io/store-kysely/tables.ts';

/** Leases as rows, each step one statement that says what it changed. */
export class KyselyLeaseStore implements LeaseStore {
  readonly #database: Kysely<Tables>;
  readonly #now: RawBuilder<number>;

  /** The handle stays the caller's, who closes it. */
  constructor(database: Kysely<Tables>) {
    this.#database = database;
    this.#now =
      database.getExecutor().adapter instanceof PostgresAdapter
        ? sql<number>`floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint`
        : sql<number>`CAST(unixepoch('subsec') * 1000 AS INTEGER)`;
  }

  async take(name: string, holder: string, ttlMs: number): Promise<number | undefined> {
    const lifeMs = sql.lit(Math.ceil(ttlMs));
    const taken = await sql<{ epoch: number }>`
      INSERT INTO leases (name, epoch, holder, expires_at_ms) VALUES (${name}, 1, ${holder}, ${this.#now} + ${lifeMs})
      ON CONFLICT (name) DO UPDATE SET
        epoch = CASE WHEN leases.holder = excluded.holder THEN leases.epoch ELSE leases.epoch + 1 END,
        holder = excluded.holder, expires_at_ms = ${this.#now} + ${lifeMs}
      WHERE leases.holder = excluded.holder OR leases.expires_at_ms <= ${this.#now}
      RETURNING epoch`.execute(this.#database);
    return taken.rows[0]?.epoch;
  }

  async isCurrent(name: string, epoch: number): Promise<boolean> {
    const row = await this.#database
      .selectFrom('leases')
      .select('epoch')
      .where('name', '=', name)
      .where('epoch', '=', epoch)
      .where('expires_at_ms', '>', this.#now)
      .executeTakeFirst();
    return row !== undefined;
  }

  async listHolders(prefix: string): Promise<ReadonlySet<string>> {
    const rows = await this.#database
      .selectFrom('leases')
      .select('holder')
      .where('name', 'like', `${prefix}%`)
      .where('expires_at_ms', '>', this.#now)
      .execute();
    return new Set(rows.map(({ holder }) => holder));
  }

  async deleteEnded(prefix: string, limit: number): Promise<number> {
    const ended = this.#database
      .selectFrom('leases')
      .select('name')
      .where('name', 'like', `${prefix}%`)
      .where('expires_at_ms', '<=', this.#now)
      .limit(limit);
    const { numDeletedRows } = await this.#database.deleteFrom('leases').where('name', 'in', ended).executeTakeFirst();
    return Number(numDeletedRows);
  }

  async release(name: string, holder: string): Promise<void> {
    await this.#database
      .updateTable('leases')
      .set({ expires_at_ms: 0 })
      .where('name', '=', name)
      .where('holder', '=', holder)
      .execute();
  }
}
