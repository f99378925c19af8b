import type { Migration } from 'kysely/migration';
import { controlMigration } from '#io/store-kysely/migrations/0001-control.ts';

/** In order of their names, and never changed once released; a database that holds another one is of a newer x0. */
export const MIGRATIONS: Readonly<Record<string, Migration>> = { '0001-control': controlMigration };
