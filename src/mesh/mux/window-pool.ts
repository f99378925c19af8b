import { assert } from '#kernel/assert.ts';

/** What a stream may send before its receiver has consumed anything: one read of a socket. */
export const FIRST_WINDOW_BYTES = 65_536;
/** The first window once half of the pool is spoken for. */
export const SCARCE_WINDOW_BYTES = 16_384;
/** No stream needs more: 16 MiB carry 1 Gbit/s over 130 ms. */
export const LARGEST_WINDOW_BYTES = 16 * 1024 * 1024;
/** Both halves of 5,000 circuits between two neighbours of a relay reserve 264 MiB; an eighth is not theirs. */
export const DEFAULT_POOL_BYTES = 320 * 1024 * 1024;

/** What one peer holds of the pool, over all its tunnels. */
interface Share {
  firstBytes: number;
  grownBytes: number;
  users: number;
}

/** The receive windows of a whole process. Every window is charged here before it is granted to a peer. */
export class WindowPool {
  readonly #limitBytes: number;
  readonly #shares = new Map<string, Share>();
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

  /** The windows of one tunnel with `peer`; all tunnels of a peer have one share. */
  windowsOf(peer: string): PeerWindows {
    const share = this.#shares.get(peer) ?? { firstBytes: 0, grownBytes: 0, users: 0 };
    this.#shares.set(peer, share);
    share.users++;
    return new PeerWindows(this, share, () => {
      share.users--;
      if (share.users === 0) this.#shares.delete(peer);
    });
  }

  reserve(bytes: number, limitBytes = this.#limitBytes): boolean {
    if (this.#reservedBytes + bytes > limitBytes) return false;
    this.#reservedBytes += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#reservedBytes -= bytes;
    assert(this.#reservedBytes >= 0, 'more was released than reserved');
  }
}

/**
 * A peer's streams grow to at most as much as they leave free, and one step takes at most this part of what is left: those that
 * came first and do not read leave room for one that does (dynamic thresholds: Choudhury and Hahne, 1998).
 */
const GROWTH_SHARE = 8;

/**
 * One tunnel's access to the pool. What a peer opens holds at most half of the pool, its growth at most as much as is left free, and neither
 * touches the last eighth, which is for the streams that this node opens: no peer can keep it from its own work.
 */
export class PeerWindows {
  readonly #pool: WindowPool;
  readonly #share: Share;
  readonly #leave: () => void;

  constructor(pool: WindowPool, share: Share, leave: () => void) {
    this.#pool = pool;
    this.#share = share;
    this.#leave = leave;
  }

  /** Size of the first window of a stream that the peer offers, charged; 0 when its share or the pool is spent. */
  reserveOffered(): number {
    const { limitBytes } = this.#pool;
    const bytes = this.#share.firstBytes < limitBytes / 8 ? this.#firstBytes() : SCARCE_WINDOW_BYTES;
    if (this.#share.firstBytes + bytes > limitBytes / 2) return 0;
    if (!this.#pool.reserve(bytes, this.#sharedLimitBytes)) return 0;
    this.#share.firstBytes += bytes;
    return bytes;
  }

  /** Size of the first window of a stream that this node opens, charged; 0 when the pool is spent. */
  reserveOpened(): number {
    const bytes = this.#firstBytes();
    return this.#pool.reserve(bytes) ? bytes : 0;
  }

  /** Charges `bytes` of growth, or returns false and charges nothing. */
  grow(bytes: number): boolean {
    const roomBytes = this.#sharedLimitBytes - this.#pool.reservedBytes - this.#share.grownBytes;
    if (bytes > roomBytes / GROWTH_SHARE) return false;
    if (!this.#pool.reserve(bytes, this.#sharedLimitBytes)) return false;
    this.#share.grownBytes += bytes;
    return true;
  }

  release(window: { readonly offeredBytes: number; readonly openedBytes: number; readonly grownBytes: number }): void {
    this.#share.firstBytes -= window.offeredBytes;
    this.#share.grownBytes -= window.grownBytes;
    this.#pool.release(window.offeredBytes + window.openedBytes + window.grownBytes);
  }

  /** The tunnel has ended and has released all its windows. */
  close(): void {
    this.#leave();
  }

  get #sharedLimitBytes(): number {
    return (this.#pool.limitBytes * 7) / 8;
  }

  #firstBytes(): number {
    const isScarce = this.#pool.reservedBytes + FIRST_WINDOW_BYTES > this.#pool.limitBytes / 2;
    return isScarce ? SCARCE_WINDOW_BYTES : FIRST_WINDOW_BYTES;
  }
}
