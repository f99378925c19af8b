import { type Kysely, sql } from 'kysely';
import { KyselyLeaseStore } from '#io/store-kysely/lease-store.ts';
import type { Tables } from '#io/store-kysely/tables.ts';

/** What is kept of tokens, SVIDs and requests for people to look at. */
const KEEP_MS = 30 * 24 * 3_600_000;

/** What ends by itself: the table, its key, when it ended, and how long it is kept after that. */
const ENDING = [
  ['tokens', ['id'], 'expires_at_ms', KEEP_MS],
  ['svids', ['serial'], 'not_after_ms', KEEP_MS],
  ['join_requests', ['id'], 'expires_at_ms', KEEP_MS],
  ['sessions', ['id'], 'expires_at_ms', 0],
  ['invitations', ['id'], 'expires_at_ms', 0],
  ['requests', ['principal', 'key_hash'], 'expires_at_ms', 0],
] as const;

/** Deletes rows that ended, at most `limit` of each table, so that no step holds others up; says how many there were. */
export async function deleteEnded(
  database: Kysely<Tables>,
  wallMs: number,
  limit: number,
  replicaLeases: string,
): Promise<number> {
  let deleted = await new KyselyLeaseStore(database).deleteEnded(replicaLeases, limit);
  for (const [table, keys, column, keepMs] of ENDING) {
    const key = sql.join(keys.map((name) => sql.ref(name)));
    const { numAffectedRows = 0n } = await sql`DELETE FROM ${sql.table(table)} WHERE (${key}) IN
      (SELECT ${key} FROM ${sql.table(table)} WHERE ${sql.ref(column)} <= ${wallMs - keepMs} LIMIT ${sql.lit(limit)})`.execute(
      database,
    );
    deleted += Number(numAffectedRows);
  }
  return deleted;
}
