import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Which replica said how a node is, and which issuing certificates the nodes know already. */
export const holdersMigration: Migration = {
  async up(database: Kysely<unknown>): Promise<void> {
    await sql`ALTER TABLE postures ADD COLUMN holder text NOT NULL DEFAULT ''`.execute(database);
    await sql`ALTER TABLE issuers ADD COLUMN ready integer NOT NULL DEFAULT 1`.execute(database);
    await sql`ALTER TABLE issuers ADD COLUMN added_at_ms bigint NOT NULL DEFAULT 0`.execute(database);
    await sql`CREATE TABLE issuer_acks (issuer text NOT NULL, replica text NOT NULL, PRIMARY KEY (issuer, replica))`.execute(
      database,
    );
  },
};
