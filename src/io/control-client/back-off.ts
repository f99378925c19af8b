import type { RandomSource } from '#kernel/random.ts';

const FIRST_MS = 250;
const MOST_MS = 10_000;

/** Waits that double to a limit, each drawn from its upper half, so that nodes do not come back all at once. */
export class BackOff {
  readonly #random: RandomSource;
  #nextMs = FIRST_MS;

  constructor(random: RandomSource) {
    this.#random = random;
  }

  nextMs(): number {
    const mostMs = this.#nextMs;
    this.#nextMs = Math.min(MOST_MS, mostMs * 2);
    return mostMs / 2 + (mostMs / 2) * this.#random.fraction();
  }

  reset(): void {
    this.#nextMs = FIRST_MS;
  }
}
