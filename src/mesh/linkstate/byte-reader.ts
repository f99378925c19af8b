/** Reads big-endian fields one after the other. Reading past the end gives zeros and sets `failed`: check it once, after the last field. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;
  #failed = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get failed(): boolean {
    return this.#failed;
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#bytes.byteLength - this.#offset;
  }

  u8(): number {
    return this.#advance(1) ? this.#view.getUint8(this.#offset - 1) : 0;
  }

  u16(): number {
    return this.#advance(2) ? this.#view.getUint16(this.#offset - 2) : 0;
  }

  u32(): number {
    return this.#advance(4) ? this.#view.getUint32(this.#offset - 4) : 0;
  }

  u64(): bigint {
    return this.#advance(8) ? this.#view.getBigUint64(this.#offset - 8) : 0n;
  }

  /** A view of the next `length` bytes, not a copy; empty past the end. */
  take(length: number): Uint8Array {
    return this.#advance(length) ? this.#bytes.subarray(this.#offset - length, this.#offset) : new Uint8Array(0);
  }

  /** The next `length` bytes as Latin letters; others than ASCII make names that no rule accepts. */
  text(length: number): string {
    return String.fromCharCode(...this.take(length));
  }

  #advance(length: number): boolean {
    if (this.#failed || length > this.remaining) {
      this.#failed = true;
      return false;
    }
    this.#offset += length;
    return true;
  }
}

/** Writes big-endian fields one after the other into a buffer of the exact length. */
export class ByteWriter {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(length: number) {
    this.bytes = new Uint8Array(length);
    this.#view = new DataView(this.bytes.buffer);
  }

  u8(value: number): this {
    this.#view.setUint8(this.#advance(1), value);
    return this;
  }

  u16(value: number): this {
    this.#view.setUint16(this.#advance(2), value);
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#advance(4), value);
    return this;
  }

  u64(value: bigint): this {
    this.#view.setBigUint64(this.#advance(8), value);
    return this;
  }

  put(bytes: Uint8Array): this {
    this.bytes.set(bytes, this.#advance(bytes.byteLength));
    return this;
  }

  #advance(length: number): number {
    this.#offset += length;
    return this.#offset - length;
  }
}
