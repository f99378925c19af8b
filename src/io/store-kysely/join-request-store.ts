import type { Kysely } from 'kysely';
import type { JoinJudgement, JoinRequest, JoinRequestStore, JoinState } from '#control/join-requests.ts';
import { change } from '#io/store-kysely/noted.ts';
import type { Tables } from '#io/store-kysely/tables.ts';

/** Requests to join in SQLite or PostgreSQL. */
export class KyselyJoinRequestStore implements JoinRequestStore {
  readonly #database: Kysely<Tables>;

  /** The handle stays the caller's, who closes it. */
  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async ask(request: JoinRequest, wallMs: number, limit: number): Promise<JoinJudgement> {
    const ask = async (on: Kysely<Tables>): Promise<JoinJudgement> => {
      const known = await on
        .selectFrom('join_requests')
        .select(['state', 'key_hash'])
        .where('id', '=', request.id)
        .executeTakeFirst();
      if (known !== undefined) {
        const state = known.key_hash === request.keyHash ? (known.state as JoinState) : 'other';
        return { state, isNew: false };
      }
      const count = on.selectFrom('join_requests').select((all) => all.fn.countAll<number | string>().as('total'));
      const waiting = count.where('state', '=', 'waiting').where('expires_at_ms', '>', wallMs);
      if (Number((await waiting.executeTakeFirstOrThrow()).total) >= limit) return { state: 'full', isNew: false };
      const { id, node, keyHash, addresses, askedAtMs, expiresAtMs } = request;
      const times = { asked_at_ms: askedAtMs, expires_at_ms: expiresAtMs, decided_by: null, decided_at_ms: null };
      const made = await on
        .insertInto('join_requests')
        .values({ id, node, key_hash: keyHash, addresses: JSON.stringify(addresses), state: 'waiting', ...times })
        .onConflict((conflict) => conflict.doNothing())
        .returning('id')
        .executeTakeFirst();
      // Another replica was quicker; the next question finds it.
      return { state: 'waiting', isNew: made !== undefined };
    };
    return await change(this.#database, ask, ({ isNew }) => isNew);
  }

  async listWaiting(wallMs: number): Promise<readonly JoinRequest[]> {
    const rows = await this.#database
      .selectFrom('join_requests')
      .selectAll()
      .where('state', '=', 'waiting')
      .where('expires_at_ms', '>', wallMs)
      .orderBy('asked_at_ms')
      .orderBy('id')
      .execute();
    return rows.map((row) => ({
      id: row.id,
      node: row.node,
      keyHash: row.key_hash,
      addresses: JSON.parse(row.addresses) as string[],
      askedAtMs: row.asked_at_ms,
      expiresAtMs: row.expires_at_ms,
    }));
  }

  async decide(id: string, state: 'approved' | 'denied', by: string, wallMs: number): Promise<boolean> {
    return await change(this.#database, async (on) => {
      const decided = on.updateTable('join_requests').set({ state, decided_by: by, decided_at_ms: wallMs });
      const { numUpdatedRows } = await decided
        .where('id', '=', id)
        .where('state', '=', 'waiting')
        .where('expires_at_ms', '>', wallMs)
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    });
  }
}
