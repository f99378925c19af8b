import { assert } from '#kernel/assert.ts';

/** A token bucket: at most `burst` at once, refilled at `perSecond`. Times are monotonic milliseconds. */
export class TokenBucket {
  readonly #burst: number;
  readonly #perSecond: number;
  #tokens: number;
  #refilledMs: number;

  constructor(burst: number, perSecond: number, nowMs: number) {
    assert(burst > 0 && perSecond >= 0, 'a bucket holds at least one token');
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#tokens = burst;
    this.#refilledMs = nowMs;
  }

  /** Takes `count` tokens and returns true, or takes none and returns false. */
  take(nowMs: number, count = 1): boolean {
    const elapsedMs = Math.max(0, nowMs - this.#refilledMs);
    this.#tokens = Math.min(this.#burst, this.#tokens + (elapsedMs * this.#perSecond) / 1000);
    this.#refilledMs = Math.max(this.#refilledMs, nowMs);
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }
}

/** A first-in first-out queue on a ring of slots: O(1) at both ends, refuses above its limit. */
export class BoundedQueue<T> {
  readonly #limit: number;
  #slots: (T | undefined)[];
  #head = 0;
  #length = 0;

  constructor(limit: number) {
    assert(limit > 0, 'a queue holds at least one item');
    this.#limit = limit;
    this.#slots = Array.from({ length: Math.min(8, limit) });
  }

  get length(): number {
    return this.#length;
  }

  /** False when the queue is full; the item was not taken then. */
  push(item: T): boolean {
    if (this.#length === this.#limit) return false;
    if (this.#length === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#length) % this.#slots.length] = item;
    this.#length++;
    return true;
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.#slots.length;
    this.#length--;
    return item;
  }

  clear(): void {
    this.#slots = Array.from({ length: Math.min(8, this.#limit) });
    this.#head = 0;
    this.#length = 0;
  }

  #grow(): void {
    const grown: (T | undefined)[] = Array.from({ length: Math.min(this.#limit, this.#slots.length * 2) });
    for (let i = 0; i < this.#length; i++) grown[i] = this.#slots[(this.#head + i) % this.#slots.length];
    this.#slots = grown;
    this.#head = 0;
  }
}
