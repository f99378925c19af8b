import { MAX_WATCHED } from '#mesh/detector/detector.ts';

const TICK = 0;
const FIRST_SLOT = 1;

/**
 * What the main thread tells the detector's without a message, because a message would wait for both: that it is alive (a
 * tick), and when each link delivered something. Times are those of the system's monotonic clock, which both threads read,
 * in milliseconds modulo 2^32.
 */
export class SharedLife {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: Int32Array;
  readonly #offsetMs: number;

  constructor(buffer = new SharedArrayBuffer((FIRST_SLOT + MAX_WATCHED) * Int32Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer;
    this.#cells = new Int32Array(buffer);
    const [seconds, nanoseconds] = process.hrtime();
    this.#offsetMs = seconds * 1000 + nanoseconds / 1e6 - performance.now();
  }

  beat(): void {
    Atomics.add(this.#cells, TICK, 1);
  }

  get tick(): number {
    return Atomics.load(this.#cells, TICK);
  }

  /** A link delivered something; `nowMs` is the calling thread's. */
  handleLife(slot: number, nowMs: number): void {
    Atomics.store(this.#cells, FIRST_SLOT + slot, this.#toShared(nowMs));
  }

  /** When the link last delivered something, by the calling thread's clock. */
  lifeMs(slot: number, nowMs: number): number {
    const agoMs = (this.#toShared(nowMs) - Atomics.load(this.#cells, FIRST_SLOT + slot)) | 0;
    return nowMs - Math.max(0, agoMs);
  }

  #toShared(nowMs: number): number {
    return Math.floor((nowMs + this.#offsetMs) % 2 ** 32) | 0;
  }
}
