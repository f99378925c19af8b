import { LARGEST_WINDOW_BYTES, type PeerWindows } from '#mesh/mux/window-pool.ts';

/** A window doubles after as many grants in a row that the consumer had waited for: buffers of the system look like a quick reader at first. */
const GRANTS_TO_GROW = 2;

/**
 * What the peer may send on one stream. Bytes that arrive use credit up, bytes that the consumer is done with are granted again
 * once they are half of the window, and the window doubles while it, and not the consumer, sets the pace.
 */
export class ReceiveWindow {
  readonly #windows: PeerWindows;
  readonly #firstBytes: number;
  readonly #isOffered: boolean;
  #sizeBytes: number;
  #creditBytes: number;
  #ungrantedBytes = 0;
  #lastGrantMs: number;
  /** Grants in a row for which the consumer had waited. */
  #pacedGrants = 0;

  /** `firstBytes` were reserved with `windows`, for a stream that the peer offered or that this node opened. */
  constructor(windows: PeerWindows, firstBytes: number, isOffered: boolean, nowMs: number) {
    this.#isOffered = isOffered;
    this.#windows = windows;
    this.#firstBytes = firstBytes;
    this.#sizeBytes = firstBytes;
    this.#creditBytes = firstBytes;
    this.#lastGrantMs = nowMs;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get creditBytes(): number {
    return this.#creditBytes;
  }

  /**
   * The consumer still holds `bytes` of the stream that this one continues: they take credit until they are consumed.
   * Returns how many of them have room here.
   */
  hold(bytes: number): number {
    const held = Math.min(bytes, this.#creditBytes);
    this.#creditBytes -= held;
    return held;
  }

  /** Takes `bytes` that arrived; false when the peer had no credit for them. */
  receive(bytes: number): boolean {
    if (bytes > this.#creditBytes) return false;
    this.#creditBytes -= bytes;
    return true;
  }

  /** The consumer is done with `bytes`. Returns the credit to grant now, in bytes, or 0. */
  consume(bytes: number, rttMs: number, nowMs: number): number {
    this.#ungrantedBytes += bytes;
    if (this.#ungrantedBytes * 2 < this.#sizeBytes) return 0;
    const grownBytes = this.#growth(rttMs, nowMs);
    const grantedBytes = this.#ungrantedBytes + grownBytes;
    this.#ungrantedBytes = 0;
    this.#sizeBytes += grownBytes;
    this.#creditBytes += grantedBytes;
    this.#lastGrantMs = nowMs;
    return grantedBytes;
  }

  /** Gives back what was reserved; the window is not used after. */
  release(): void {
    this.#windows.release({
      offeredBytes: this.#isOffered ? this.#firstBytes : 0,
      openedBytes: this.#isOffered ? 0 : this.#firstBytes,
      grownBytes: this.#sizeBytes - this.#firstBytes,
    });
  }

  #growth(rttMs: number, nowMs: number): number {
    // Half a window consumed in under two round trips: the window, not the consumer, sets the pace.
    const isHeldUp = nowMs - this.#lastGrantMs < Math.max(2 * rttMs, 1);
    this.#pacedGrants = isHeldUp ? this.#pacedGrants + 1 : 0;
    const wantedBytes = Math.min(this.#sizeBytes, LARGEST_WINDOW_BYTES - this.#sizeBytes);
    if (this.#pacedGrants < GRANTS_TO_GROW || wantedBytes === 0 || !this.#windows.grow(wantedBytes)) return 0;
    this.#pacedGrants = 0;
    return wantedBytes;
  }
}
