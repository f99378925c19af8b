/** Failures that one address may collect before it has to wait. */
const FAILURE_LIMIT = 20;
/** One failure is forgiven in this time, so that whoever shares the address with a guesser waits no longer. */
const FORGIVE_MS = 500;
/** Addresses remembered at once; the oldest is forgotten first. */
const ADDRESS_LIMIT = 4_096;

/** Counts failed enrolments by address, so that guessing costs time. Times are monotonic milliseconds. */
export class FailureLimiter {
  readonly #failures = new Map<string, { count: number; sinceMs: number }>();

  isBlocked(address: string, nowMs: number): boolean {
    return this.#countOf(address, nowMs) > FAILURE_LIMIT - 1;
  }

  handleFailure(address: string, nowMs: number): void {
    const count = Math.min(FAILURE_LIMIT, this.#countOf(address, nowMs) + 1);
    this.#failures.delete(address);
    if (this.#failures.size >= ADDRESS_LIMIT) {
      for (const oldest of this.#failures.keys()) {
        this.#failures.delete(oldest);
        break;
      }
    }
    this.#failures.set(address, { count, sinceMs: nowMs });
  }

  #countOf(address: string, nowMs: number): number {
    const known = this.#failures.get(address);
    return known === undefined ? 0 : Math.max(0, known.count - (nowMs - known.sinceMs) / FORGIVE_MS);
  }
}
