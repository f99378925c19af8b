import type { Redis } from 'ioredis';

/** Of keys that are remembered one by one; beyond it all of the prefix go. */
const OWED_LIMIT = 10_000;
const BATCH = 500;

/** Keys that were changed here while Redis was away, and are to be deleted there before it is believed again. */
export class OwedKeys {
  readonly #keys = new Set<string>();
  #isAll = false;

  /** 0 when nothing is owed. */
  get size(): number {
    return this.#isAll ? Number.POSITIVE_INFINITY : this.#keys.size;
  }

  add(key: string): void {
    if (this.#keys.size >= OWED_LIMIT) this.#isAll = true;
    if (!this.#isAll) this.#keys.add(key);
  }

  /** Deletes them; what is added meanwhile stays owed. Rejects with what Redis says, and then all of a batch is owed still. */
  async settle(redis: Redis, prefix: string): Promise<void> {
    if (this.#isAll) await this.#deleteAll(redis, prefix);
    while (this.#keys.size > 0) {
      const batch = [...this.#keys.values().take(BATCH)];
      for (const key of batch) this.#keys.delete(key);
      try {
        await redis.unlink(...batch);
      } catch (error) {
        for (const key of batch) this.#keys.add(key);
        throw error;
      }
    }
  }

  async #deleteAll(redis: Redis, prefix: string): Promise<void> {
    this.#isAll = false;
    this.#keys.clear();
    try {
      const pattern = `${prefix.replaceAll(/[[\]*?\\^-]/g, String.raw`\$&`)}*`;
      for (let cursor = ''; cursor !== '0'; ) {
        const [next, keys] = await redis.scan(cursor === '' ? '0' : cursor, 'MATCH', pattern, 'COUNT', BATCH);
        if (keys.length > 0) await redis.unlink(...keys);
        cursor = next;
      }
    } catch (error) {
      this.#isAll = true;
      throw error;
    }
  }
}
