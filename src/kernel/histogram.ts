import { assert } from '#kernel/assert.ts';

/** How often a measured value fell below each of a few bounds: enough to tell quantiles of many processes together. */
export class Histogram {
  /** Ascending. */
  readonly bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  constructor(bounds: readonly number[]) {
    assert(bounds.length > 0 && bounds.every((bound, i) => i === 0 || bound > (bounds[i - 1] ?? bound)), 'bounds rise');
    this.bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    this.#count++;
    this.#sum += value;
    const at = this.bounds.findIndex((bound) => value <= bound);
    if (at >= 0) this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  }

  get count(): number {
    return this.#count;
  }

  get sum(): number {
    return this.#sum;
  }

  /** For each bound how many values were at most it. */
  cumulative(): readonly number[] {
    let total = 0;
    return this.#counts.map((count) => (total += count));
  }
}
