/** How often one address may come: so many at once, and then so many a second. */
export interface AddressRates {
  readonly burst: number;
  readonly perSecond: number;
}

/** Addresses remembered at once; the one that came least lately is forgotten first. */
const ADDRESS_LIMIT = 4_096;

/** A leaking count for each address. Times are monotonic milliseconds. */
export class AddressLimits {
  readonly #rates: AddressRates;
  readonly #counts = new Map<string, { count: number; sinceMs: number }>();

  constructor(rates: AddressRates) {
    this.#rates = rates;
  }

  /** Counts one; false when that is too many. */
  take(address: string, nowMs: number): boolean {
    if (this.isExhausted(address, nowMs)) return false;
    const count = this.#countOf(address, nowMs) + 1;
    this.#counts.delete(address);
    for (const oldest of this.#counts.keys()) {
      if (this.#counts.size < ADDRESS_LIMIT) break;
      this.#counts.delete(oldest);
    }
    this.#counts.set(address, { count, sinceMs: nowMs });
    return true;
  }

  isExhausted(address: string, nowMs: number): boolean {
    return this.#countOf(address, nowMs) > this.#rates.burst - 1;
  }

  #countOf(address: string, nowMs: number): number {
    const known = this.#counts.get(address);
    if (known === undefined) return 0;
    return Math.max(0, known.count - ((nowMs - known.sinceMs) * this.#rates.perSecond) / 1_000);
  }
}
