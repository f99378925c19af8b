import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Tokens whose nodes wait for a person, and what waits. */
export const approvalsMigration: Migration = {
  async up(database: Kysely<unknown>): Promise<void> {
    await sql`ALTER TABLE tokens ADD COLUMN approval integer NOT NULL DEFAULT 0`.execute(database);
    await sql`CREATE TABLE join_requests (id text NOT NULL PRIMARY KEY, node text NOT NULL, key_hash text NOT NULL,
      addresses text NOT NULL, state text NOT NULL, asked_at_ms bigint NOT NULL, expires_at_ms bigint NOT NULL,
      decided_by text, decided_at_ms bigint)`.execute(database);
  },
};
