import type { WallClock } from '#control/ports.ts';
import type { AccountSharing } from './ports.ts';

/** Who tries: an account, or undefined for a code of which none is known, and the block of addresses that it comes from. */
export interface Attempt {
  readonly account: string | undefined;
  readonly address: string;
}

/** Failures within a minute of one account from one address. */
export const PAIR_FAILURE_LIMIT = 5;
/** Of one address with any accounts: an office behind one address mistypes less, a list of names is tried faster. */
export const ADDRESS_FAILURE_LIMIT = 50;
/**
 * Of one account from anywhere. Beyond it each address has one failure instead of five: that makes many addresses slow, and locks
 * nobody out, because whoever has not failed lately is still heard.
 */
export const ACCOUNT_FAILURE_LIMIT = 100;
const WINDOW_MS = 60_000;

/** Makes guessing slow, and nobody's guessing keeps another address out. */
export class LoginGuard {
  readonly #shared: AccountSharing;
  readonly #wallMs: WallClock;

  constructor(shared: AccountSharing, wallMs: WallClock) {
    this.#shared = shared;
    this.#wallMs = wallMs;
  }

  /** How long to wait before the next attempt; undefined: not at all. */
  async waitMs(attempt: Attempt): Promise<number | undefined> {
    const keys = [pairKey(attempt), addressKey(attempt)];
    const blocked = await Promise.all(keys.map(async (key) => this.#shared.get(`login-blocked:${key}`)));
    const ends = blocked.filter((each) => each !== undefined).map(Number);
    if (ends.length === 0) return undefined;
    // A clock that was set back makes nobody wait longer.
    return Math.min(WINDOW_MS, Math.max(1, ...ends.map((endMs) => endMs - this.#wallMs())));
  }

  /** Counts one failure; how long to wait when that was one too many. */
  async handleFailure(attempt: Attempt): Promise<number | undefined> {
    const isTargeted =
      attempt.account !== undefined && (await this.#count(`account:${attempt.account}`)).count > ACCOUNT_FAILURE_LIMIT;
    const waits = await Promise.all([
      this.#judge(pairKey(attempt), isTargeted ? 1 : PAIR_FAILURE_LIMIT),
      this.#judge(addressKey(attempt), ADDRESS_FAILURE_LIMIT),
    ]);
    const most = Math.max(...waits);
    return most === 0 ? undefined : most;
  }

  async #judge(key: string, limit: number): Promise<number> {
    const { count, resetsInMs } = await this.#count(key);
    if (count < limit) return 0;
    await this.#shared.set(`login-blocked:${key}`, `${this.#wallMs() + resetsInMs}`, Math.max(1, resetsInMs));
    return count > limit ? resetsInMs : 0;
  }

  async #count(key: string): Promise<{ readonly count: number; readonly resetsInMs: number }> {
    return await this.#shared.increment(`login-failures:${key}`, WINDOW_MS);
  }
}

function pairKey({ account, address }: Attempt): string {
  return account === undefined ? `code:${address}` : `pair:${address} ${account}`;
}

function addressKey({ address }: Attempt): string {
  return `address:${address}`;
}
