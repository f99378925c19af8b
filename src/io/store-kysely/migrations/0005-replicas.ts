import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** What several control planes agree on: who does what only one may do, and whose certificates are good. */
export const replicasMigration: Migration = {
  async up({ schema }: Kysely<unknown>): Promise<void> {
    await schema
      .createTable('leases')
      .addColumn('name', 'text', (column) => column.primaryKey())
      .addColumn('epoch', 'bigint', (column) => column.notNull())
      .addColumn('holder', 'text', (column) => column.notNull())
      .addColumn('expires_at_ms', 'bigint', (column) => column.notNull())
      .execute();
    await schema
      .createTable('issuers')
      .addColumn('hash', 'text', (column) => column.primaryKey())
      .addColumn('root_hash', 'text', (column) => column.notNull())
      .addColumn('certificate', 'text', (column) => column.notNull())
      .addColumn('not_after_ms', 'bigint', (column) => column.notNull())
      .execute();
  },
};
