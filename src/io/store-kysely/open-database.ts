import type { Kysely } from 'kysely';
import type { Secret } from '#kernel/secret.ts';
import { openPostgres } from '#io/store-kysely/postgres.ts';
import { QueryTimes } from '#io/store-kysely/query-times.ts';
import { openSqlite } from '#io/store-kysely/sqlite.ts';
import type { Tables } from '#io/store-kysely/tables.ts';

/** Where the state lies: a file of this host (`:memory:` for tests), or a server that replicas share. */
export type DatabaseLocation =
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'postgresql'; readonly url: Secret };

/**
 * The one handle of all stores, migrated; `destroy()` closes it. What its queries refuse is a `CodedError`: DATABASE_DOWN,
 * DATABASE_TIMEOUT, DATABASE_BUSY, DISK_FULL, DATA_DIR_UNUSABLE or DATA_DAMAGED. `isKnown`: a mesh lived here before, so a
 * missing or empty database is a loss. Rejects also with DATA_INCOMPLETE and DATA_TOO_NEW.
 */
export async function openDatabase(
  location: DatabaseLocation,
  isKnown = false,
  times = new QueryTimes(),
): Promise<Kysely<Tables>> {
  if (location.kind === 'sqlite') return await openSqlite(location.path, isKnown, times);
  return await openPostgres(location.url, isKnown, times);
}
