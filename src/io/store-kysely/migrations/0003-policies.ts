import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

const COLUMNS = `name text NOT NULL, version bigint NOT NULL, text text NOT NULL, statements text NOT NULL,
  enabled integer NOT NULL, deleted integer NOT NULL, changed_at_ms bigint NOT NULL, changed_by text NOT NULL`;

/** The present version of each policy, and those before it; and how each node was when it was last judged. */
export const policiesMigration: Migration = {
  async up(database: Kysely<unknown>): Promise<void> {
    await sql.raw(`CREATE TABLE policies (${COLUMNS}, PRIMARY KEY (name))`).execute(database);
    await sql.raw(`CREATE TABLE policy_versions (${COLUMNS}, PRIMARY KEY (name, version))`).execute(database);
    await sql`CREATE TABLE postures (node text NOT NULL PRIMARY KEY, posture text NOT NULL)`.execute(database);
  },
};
