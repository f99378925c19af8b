import { assert } from '#kernel/assert.ts';

const LENGTH_BYTES = 4;

/** Cuts a stream into messages: a 32-bit big-endian length before each. Holds at most one message. */
export class MessageReader {
  readonly #limitBytes: number;
  readonly #length = new Uint8Array(LENGTH_BYTES);
  #lengthBytes = 0;
  #message: Uint8Array | undefined;
  #messageBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Calls `sink` with every message that ends in `bytes`. False when a length is over the limit: the stream is lost. */
  handleBytes(bytes: Uint8Array, sink: (message: Uint8Array) => void): boolean {
    let offset = 0;
    while (offset < bytes.byteLength) {
      if (this.#message === undefined) {
        this.#length[this.#lengthBytes++] = bytes[offset++] ?? 0;
        if (this.#lengthBytes === LENGTH_BYTES && !this.#begin()) return false;
      } else {
        offset += this.#fill(this.#message, bytes.subarray(offset));
      }
      if (this.#message !== undefined && this.#messageBytes === this.#message.byteLength)
        sink(this.#end(this.#message));
    }
    return true;
  }

  #begin(): boolean {
    const length = new DataView(this.#length.buffer).getUint32(0);
    if (length > this.#limitBytes) return false;
    this.#message = new Uint8Array(length);
    this.#messageBytes = 0;
    return true;
  }

  #fill(message: Uint8Array, bytes: Uint8Array): number {
    const taken = Math.min(bytes.byteLength, message.byteLength - this.#messageBytes);
    message.set(bytes.subarray(0, taken), this.#messageBytes);
    this.#messageBytes += taken;
    return taken;
  }

  #end(message: Uint8Array): Uint8Array {
    this.#message = undefined;
    this.#lengthBytes = 0;
    return message;
  }
}

/** A message with its length before it. */
export function delimitMessage(message: Uint8Array): Uint8Array {
  assert(message.byteLength <= 0xffff_ffff, 'a length has 32 bits');
  const framed = new Uint8Array(LENGTH_BYTES + message.byteLength);
  new DataView(framed.buffer).setUint32(0, message.byteLength);
  framed.set(message, LENGTH_BYTES);
  return framed;
}
