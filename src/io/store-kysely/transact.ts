import type { Kysely, Transaction } from 'kysely';
import { isCollision } from '#io/store-kysely/postgres-failure.ts';

/** Two that collide differ in their pace the next time; more than this is another trouble. */
const ATTEMPT_LIMIT = 4;

/**
 * All of `work` or nothing; it is done again when PostgreSQL ended it for another one's sake, so it has no other effects.
 * Inside, every query is on `on`: SQLite has one connection.
 */
export async function transact<T, R>(database: Kysely<T>, work: (on: Transaction<T>) => Promise<R>): Promise<R> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await database.transaction().execute(work);
    } catch (error) {
      if (!isCollision(error) || attempt === ATTEMPT_LIMIT) throw error;
    }
  }
}
