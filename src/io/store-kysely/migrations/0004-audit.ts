import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

/** The log of changes and denials. */
export const auditMigration: Migration = {
  async up(database: Kysely<unknown>): Promise<void> {
    const { schema } = database;
    await schema
      .createTable('audit_entries')
      .addColumn('seq', 'bigint', (column) => column.primaryKey())
      .addColumn('previous_hash', 'text', (column) => column.notNull())
      .addColumn('body_hash', 'text', (column) => column.notNull())
      .addColumn('body', 'text', (column) => column.notNull())
      .execute();
    await schema
      .createTable('audit_head')
      .addColumn('id', 'integer', (column) => column.primaryKey())
      .addColumn('seq', 'bigint', (column) => column.notNull())
      .addColumn('hash', 'text', (column) => column.notNull())
      .execute();
    await sql`INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, ${sql.lit('0'.repeat(64))})`.execute(database);
    await schema
      .createTable('audit_checkpoints')
      .addColumn('seq', 'bigint', (column) => column.primaryKey())
      .addColumn('hash', 'text', (column) => column.notNull())
      .addColumn('at_ms', 'bigint', (column) => column.notNull())
      .addColumn('signer_hash', 'text', (column) => column.notNull())
      .addColumn('signature', 'text', (column) => column.notNull())
      .execute();
    await schema
      .createTable('audit_signers')
      .addColumn('hash', 'text', (column) => column.primaryKey())
      .addColumn('signer', 'text', (column) => column.notNull())
      .addColumn('issuer', 'text', (column) => column.notNull())
      .execute();
  },
};
