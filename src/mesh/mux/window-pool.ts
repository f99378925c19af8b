import { assert } from '#kernel/assert.ts';

/** What a stream may send before its receiver has consumed anything: one read of a socket. */
export const FIRST_WINDOW_BYTES = 65_536;
/** The first window once half of the pool is spoken for. */
export const SCARCE_WINDOW_BYTES = 16_384;
/** No stream needs more: 16 MiB carry 1 Gbit/s over 130 ms. */
export const LARGEST_WINDOW_BYTES = 16 * 1024 * 1024;
/** 10,000 first windows, half of them scarce: what a relay of 5,000 circuits reserves. */
export const DEFAULT_POOL_BYTES = 256 * 1024 * 1024;

/** The receive windows of a whole process. Every window is charged here before it is granted to a peer. */
export class WindowPool {
  readonly #limitBytes: number;
  #reservedBytes = 0;

  constructor(limitBytes: number = DEFAULT_POOL_BYTES) {
    assert(limitBytes >= FIRST_WINDOW_BYTES, 'the pool holds at least one window');
    this.#limitBytes = limitBytes;
  }

  get limitBytes(): number {
    return this.#limitBytes;
  }

  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  /** Size of a new stream's window in bytes, charged; 0 when the pool is spent. */
  reserveFirst(): number {
    const scarce = this.#reservedBytes + FIRST_WINDOW_BYTES > this.#limitBytes / 2;
    const bytes = scarce ? SCARCE_WINDOW_BYTES : FIRST_WINDOW_BYTES;
    return this.reserve(bytes) ? bytes : 0;
  }

  reserve(bytes: number): boolean {
    if (this.#reservedBytes + bytes > this.#limitBytes) return false;
    this.#reservedBytes += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#reservedBytes -= bytes;
    assert(this.#reservedBytes >= 0, 'more was released than reserved');
  }
}

/** One peer's share of the pool: growth beyond first windows is at most a quarter of the pool. */
export class PeerWindows {
  readonly #pool: WindowPool;
  #grownBytes = 0;

  constructor(pool: WindowPool) {
    this.#pool = pool;
  }

  reserveFirst(): number {
    return this.#pool.reserveFirst();
  }

  /** Charges `bytes` of growth, or returns false and charges nothing. */
  grow(bytes: number): boolean {
    if (this.#grownBytes + bytes > this.#pool.limitBytes / 4 || !this.#pool.reserve(bytes)) return false;
    this.#grownBytes += bytes;
    return true;
  }

  release(firstBytes: number, grownBytes: number): void {
    this.#grownBytes -= grownBytes;
    this.#pool.release(firstBytes + grownBytes);
  }
}
