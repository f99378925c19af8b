import { type FrameType, HEADER_BYTES, writeHeader } from '#mesh/mux/frame.ts';

const SLAB_BYTES = 1_024 * HEADER_BYTES;

/** Cuts frame headers from slabs: one allocation for 1,024 frames. A header stays untouched once it is given out. */
export class HeaderSlab {
  #slab = new Uint8Array(SLAB_BYTES);
  #offset = 0;

  next(type: FrameType, length: number, streamId: number): Uint8Array {
    if (this.#offset === SLAB_BYTES) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#offset = 0;
    }
    const header = this.#slab.subarray(this.#offset, this.#offset + HEADER_BYTES);
    this.#offset += HEADER_BYTES;
    writeHeader(header, type, length, streamId);
    return header;
  }
}
