import { assert, present } from '#kernel/assert.ts';
import { worthKeeping } from '#kernel/bytes.ts';

/** Pieces below this size are gathered into blocks: a thousand one-byte writes must not cost a thousand objects. */
const SMALL_PIECE_BYTES = 2_048;
const BLOCK_BYTES = 4_096;

/** Where a stream's bytes wait. */
export interface SendBuffer {
  /** Bytes that wait. */
  readonly bytes: number;
  /** Of these, what may be taken now. */
  readonly takeableBytes: number;
  push(piece: Uint8Array): void;
  /** Moves the first `bytes` bytes to `into`, uncopied; there must be as many. */
  take(bytes: number, into: Uint8Array[]): void;
  /** The stream is over: nothing more is taken. */
  clear(): void;
}

/**
 * Bytes waiting to be sent, in order. Large pieces are kept as they are; small ones, and views of less than half
 * of the buffer that they would keep alive, are copied.
 */
export class SendQueue implements SendBuffer {
  #pieces: Uint8Array[] = [];
  #head = 0;
  #headOffset = 0;
  #bytes = 0;
  /** The last piece when it is a block of ours with room left. */
  #block: Uint8Array | undefined;
  #blockBytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get takeableBytes(): number {
    return this.#bytes;
  }

  push(piece: Uint8Array): void {
    const length = piece.byteLength;
    if (length === 0) return;
    this.#bytes += length;
    if (length < SMALL_PIECE_BYTES) {
      this.#gather(piece);
      return;
    }
    this.#sealBlock();
    this.#pieces.push(worthKeeping(piece));
  }

  /** Moves the first `bytes` bytes to `into`, uncopied; there must be as many. */
  take(bytes: number, into: Uint8Array[]): void {
    assert(bytes <= this.#bytes, 'more was taken than is queued');
    this.#bytes -= bytes;
    let left = bytes;
    while (left > 0) {
      if (this.#head === this.#pieces.length) this.#sealBlock();
      const piece = present(this.#pieces[this.#head], 'the count of bytes is that of the pieces');
      const taken = Math.min(piece.byteLength - this.#headOffset, left);
      const end = this.#headOffset + taken;
      into.push(taken === piece.byteLength ? piece : piece.subarray(this.#headOffset, end));
      left -= taken;
      if (end === piece.byteLength) this.#dropHead();
      else this.#headOffset = end;
    }
  }

  /** Puts pieces before everything that waits. */
  prepend(pieces: readonly Uint8Array[]): void {
    const first = this.#pieces[this.#head];
    const rest = this.#pieces.slice(this.#head + 1);
    const left = first === undefined ? [] : [first.subarray(this.#headOffset)];
    this.#pieces = [...pieces, ...left, ...rest];
    this.#head = 0;
    this.#headOffset = 0;
    for (const piece of pieces) this.#bytes += piece.byteLength;
  }

  clear(): void {
    this.#pieces = [];
    this.#head = 0;
    this.#headOffset = 0;
    this.#bytes = 0;
    this.#block = undefined;
  }

  #dropHead(): void {
    this.#headOffset = 0;
    this.#head++;
    if (this.#head === this.#pieces.length) {
      this.#pieces = [];
      this.#head = 0;
    } else if (this.#head > 64) {
      this.#pieces.splice(0, this.#head);
      this.#head = 0;
    }
  }

  #gather(piece: Uint8Array): void {
    if (this.#block === undefined || this.#blockBytes + piece.byteLength > this.#block.byteLength) {
      this.#sealBlock();
      // A lone small write gets a block of its own size, so that an idle stream holds no more than it must.
      this.#block = new Uint8Array(this.#pieces.length === this.#head ? piece.byteLength : BLOCK_BYTES);
      this.#blockBytes = 0;
    }
    this.#block.set(piece, this.#blockBytes);
    this.#blockBytes += piece.byteLength;
  }

  #sealBlock(): void {
    if (this.#block === undefined) return;
    this.#pieces.push(
      this.#blockBytes === this.#block.byteLength ? this.#block : this.#block.subarray(0, this.#blockBytes),
    );
    this.#block = undefined;
  }
}
