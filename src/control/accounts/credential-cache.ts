/** How long a session that another replica ended may go on here, when its notice is lost. */
export const CACHE_LIFE_MS = 1_000;
/** More sessions than these are asked for anew each time; each takes about a kilobyte. */
const ENTRY_LIMIT = 10_000;

interface Entry<T> {
  readonly found: Promise<T | undefined>;
  /** When the asking began. */
  readonly atMs: number;
}

/** What was found lately, so that a credential in use is asked for once a second. Times are monotonic milliseconds. */
export class CredentialCache<T> {
  readonly #entries = new Map<string, Entry<T>>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  async find(id: string, load: (id: string) => Promise<T | undefined>): Promise<T | undefined> {
    const known = this.#entries.get(id);
    const nowMs = this.#nowMs();
    if (known !== undefined && nowMs - known.atMs < CACHE_LIFE_MS) return await known.found;
    const entry = { found: load(id), atMs: nowMs };
    this.#entries.delete(id);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size < ENTRY_LIMIT) break;
      this.#entries.delete(oldest);
    }
    this.#entries.set(id, entry);
    try {
      return await entry.found;
    } catch (error) {
      if (this.#entries.get(id) === entry) this.#entries.delete(id);
      throw error;
    }
  }

  /** Whoever asks from now on is told what the store says from now on. */
  forget(id: string): void {
    this.#entries.delete(id);
  }

  forgetAll(): void {
    this.#entries.clear();
  }
}
