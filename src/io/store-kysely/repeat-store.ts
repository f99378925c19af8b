import type { Kysely } from 'kysely';
import type { RepeatableRequest, RepeatJudgement, RepeatStore, StoredAnswer } from '#control/repeats.ts';
import type { Tables } from '#io/store-kysely/tables.ts';

/** Requests that may come again, in SQLite or PostgreSQL. */
export class KyselyRepeatStore implements RepeatStore {
  readonly #database: Kysely<Tables>;

  /** The handle stays the caller's, who closes it. */
  constructor(database: Kysely<Tables>) {
    this.#database = database;
  }

  async begin(request: RepeatableRequest, wallMs: number, busyUntilMs: number): Promise<RepeatJudgement> {
    const { principal, keyHash, bodyHash } = request;
    await this.#database.deleteFrom('requests').where('expires_at_ms', '<=', wallMs).execute();
    const row = { principal, key_hash: keyHash, body_hash: bodyHash, expires_at_ms: busyUntilMs };
    const made = await this.#database
      .insertInto('requests')
      .values({ ...row, status: null, answer: null })
      .onConflict((conflict) => conflict.columns(['principal', 'key_hash']).doNothing())
      .returning('key_hash')
      .executeTakeFirst();
    if (made !== undefined) return 'new';
    const known = await this.#database
      .selectFrom('requests')
      .select(['body_hash', 'status', 'answer'])
      .where('principal', '=', principal)
      .where('key_hash', '=', keyHash)
      .executeTakeFirst();
    if (known === undefined) return 'busy';
    if (known.body_hash !== bodyHash) return 'other';
    const { status, answer } = known;
    return status === null || answer === null ? 'busy' : { status, answer };
  }

  async finish({ principal, keyHash }: RepeatableRequest, answer: StoredAnswer, expiresAtMs: number): Promise<void> {
    await this.#database
      .updateTable('requests')
      .set({ ...answer, expires_at_ms: expiresAtMs })
      .where('principal', '=', principal)
      .where('key_hash', '=', keyHash)
      .execute();
  }

  async drop({ principal, keyHash }: RepeatableRequest): Promise<void> {
    await this.#database
      .deleteFrom('requests')
      .where('principal', '=', principal)
      .where('key_hash', '=', keyHash)
      .where('answer', 'is', null)
      .execute();
  }
}
