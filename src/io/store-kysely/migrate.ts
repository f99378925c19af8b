import type { Kysely } from 'kysely';
import { Migrator } from 'kysely/migration';
import { CodedError } from '#control/coded-error.ts';
import { MIGRATIONS } from '#io/store-kysely/migrations.ts';
import type { Tables } from '#io/store-kysely/tables.ts';

/**
 * Brings the tables to what this program knows, all or nothing. Of several replicas one does it and the others wait for it.
 * Rejects with DATA_TOO_NEW and with what the database says.
 */
export async function migrate(database: Kysely<Tables>): Promise<void> {
  const migrator = new Migrator({ db: database, provider: { getMigrations: async () => ({ ...MIGRATIONS }) } });
  const { error } = await migrator.migrateToLatest();
  if (error === undefined) return;
  const isNewer = error instanceof Error && error.message.startsWith('corrupted migrations');
  throw isNewer ? new CodedError('DATA_TOO_NEW', 'the data was written by a newer x0', { cause: error }) : error;
}
