import { present } from '#kernel/assert.ts';
import { LEAST_RETAINED_BYTES, MAX_RETAINED_BYTES, Retention } from '#mesh/conduit/retention.ts';
import { type SendBuffer, SendQueue } from '#mesh/mux/send-queue.ts';

const NOTHING = new Uint8Array();

/**
 * The bytes of one direction of a conduit, from the oldest that the peer has not acknowledged to the newest that was written.
 * Offsets are absolute and in bytes: `acknowledged` ≤ `sent` ≤ `end`. What was taken stays until it is acknowledged, so that
 * another tunnel can go on from any offset in between.
 */
export class RetransmitQueue implements SendBuffer {
  readonly #unsent = new SendQueue();
  /** What was taken and is not acknowledged, in order. */
  #sent: Uint8Array[] = [];
  #head = 0;
  #acknowledged = 0;
  #sentOffset = 0;
  #isHalted = false;
  #retention = new Retention();

  /** Everything below has reached the peer. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** The next byte that a tunnel takes. */
  get sent(): number {
    return this.#sentOffset;
  }

  /** One after the last byte that was written. */
  get end(): number {
    return this.#sentOffset + this.#unsent.bytes;
  }

  /** Bytes waiting to be taken, also while no tunnel may take them. */
  get waitingBytes(): number {
    return this.#unsent.bytes;
  }

  get bytes(): number {
    return this.#isHalted ? 0 : this.#unsent.bytes;
  }

  get takeableBytes(): number {
    return Math.min(this.bytes, this.roomBytes);
  }

  /** How much more may be taken: a peer that lets this side send and acknowledges nothing makes it keep a bounded amount. */
  get roomBytes(): number {
    const limitBytes = this.#retention.isOver ? LEAST_RETAINED_BYTES : MAX_RETAINED_BYTES;
    return Math.max(0, limitBytes - (this.#sentOffset - this.#acknowledged));
  }

  /** Places for what was taken; a few of them are of acknowledged pieces, which are gone. */
  get heldPieces(): number {
    return this.#sent.length;
  }

  /** What is retained counts here from now on. */
  chargeTo(retention: Retention): void {
    const retainedBytes = this.#sentOffset - this.#acknowledged;
    this.#retention.add(-retainedBytes);
    this.#retention.users--;
    retention.add(retainedBytes);
    retention.users++;
    this.#retention = retention;
  }

  push(piece: Uint8Array): void {
    this.#unsent.push(piece);
  }

  take(bytes: number, into: Uint8Array[]): void {
    const first = into.length;
    this.#unsent.take(bytes, into);
    for (let i = first; i < into.length; i++) this.#retain(present(into[i], 'taken pieces were appended'));
    this.#sentOffset += bytes;
    this.#retention.add(bytes);
  }

  /** Its tunnel is gone: nothing is taken until `rewind`. */
  clear(): void {
    this.#isHalted = true;
  }

  /** The peer has everything below `offset`. False, without effect, for what was never sent or is acknowledged backwards. */
  acknowledge(offset: number): boolean {
    if (offset < this.#acknowledged || offset > this.#sentOffset) return false;
    let left = offset - this.#acknowledged;
    this.#acknowledged = offset;
    this.#retention.add(-left);
    while (left > 0) {
      const piece = present(this.#sent[this.#head], 'the offsets are those of the pieces');
      if (piece.byteLength > left) {
        this.#sent[this.#head] = piece.subarray(left);
        break;
      }
      left -= piece.byteLength;
      this.#sent[this.#head] = NOTHING;
      this.#head++;
    }
    this.#trim();
    return true;
  }

  /** Goes on from `offset` on another tunnel. False, without effect, when these bytes are gone or were never sent. */
  rewind(offset: number): boolean {
    if (!this.acknowledge(offset)) return false;
    this.#unsent.prepend(this.#sent.slice(this.#head));
    this.#sent = [];
    this.#head = 0;
    this.#retention.add(offset - this.#sentOffset);
    this.#sentOffset = offset;
    this.#isHalted = false;
    return true;
  }

  /** A receiver that grants a byte at a time does not make it as many pieces. */
  #retain(piece: Uint8Array): void {
    const last = this.#head < this.#sent.length ? this.#sent.at(-1) : undefined;
    if (last !== undefined && last.buffer === piece.buffer && last.byteOffset + last.byteLength === piece.byteOffset)
      this.#sent[this.#sent.length - 1] = new Uint8Array(
        last.buffer,
        last.byteOffset,
        last.byteLength + piece.byteLength,
      );
    else this.#sent.push(piece);
  }

  #trim(): void {
    if (this.#head < this.#sent.length && this.#head < 64) return;
    this.#sent = this.#sent.slice(this.#head);
    this.#head = 0;
  }
}
