import type { WallClock } from '#control/ports.ts';
import type { AccountSharing } from './ports.ts';

/** Failures within a minute of an account from anywhere, and of an address with any account. */
export const FAILURE_LIMIT = 5;
const WINDOW_MS = 60_000;

/** Makes guessing slow: who failed five times within a minute waits until it is over. */
export class LoginGuard {
  readonly #shared: AccountSharing;
  readonly #wallMs: WallClock;

  constructor(shared: AccountSharing, wallMs: WallClock) {
    this.#shared = shared;
    this.#wallMs = wallMs;
  }

  /** How long to wait before the next attempt; undefined: not at all. */
  async waitMs(keys: readonly string[]): Promise<number | undefined> {
    const blocked = await Promise.all(keys.map(async (key) => this.#shared.get(`login-blocked:${key}`)));
    const ends = blocked.filter((each) => each !== undefined).map(Number);
    return ends.length === 0 ? undefined : Math.max(1, ...ends.map((endMs) => endMs - this.#wallMs()));
  }

  /** Counts one failure; how long to wait when that was one too many. */
  async handleFailure(keys: readonly string[]): Promise<number | undefined> {
    const waits = await Promise.all(keys.map(async (key) => this.#count(key)));
    const most = Math.max(0, ...waits);
    return most === 0 ? undefined : most;
  }

  async #count(key: string): Promise<number> {
    const { count, resetsInMs } = await this.#shared.increment(`login-failures:${key}`, WINDOW_MS);
    if (count < FAILURE_LIMIT) return 0;
    await this.#shared.set(`login-blocked:${key}`, `${this.#wallMs() + resetsInMs}`, Math.max(1, resetsInMs));
    return count > FAILURE_LIMIT ? resetsInMs : 0;
  }
}
