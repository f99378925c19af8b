import { asciiBytes } from '#kernel/bytes.ts';

/** TLS without cryptography: records with a check that a relay cannot make, so that what it changes is noticed. */
const HEADER_BYTES = 8;
/** As TLS: one record carries at most this. */
export const RECORD_BYTES = 16_384;
/** Stands for encryption: what a relay sees is not what was written. */
const CIPHER = 0x5a;

/** What a session made of bytes that arrived. */
export type Received =
  | { readonly kind: 'greeting'; readonly name: string }
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  | { readonly kind: 'broken' };

/** One side of a session: says its name first, then seals what it is given. */
export class FakeTls {
  readonly #key: number;
  #sealed = 0;
  #opened = 0;
  #rest = new Uint8Array();
  #isBroken = false;

  /** `key` is known to both honest ends and to nobody between. */
  constructor(key: number) {
    this.#key = key;
  }

  greet(name: string): Uint8Array {
    return this.seal(asciiBytes(name));
  }

  seal(bytes: Uint8Array): Uint8Array {
    const record = new Uint8Array(HEADER_BYTES + bytes.byteLength);
    for (let i = 0; i < bytes.byteLength; i++) record[HEADER_BYTES + i] = (bytes[i] ?? 0) ^ CIPHER;
    const view = new DataView(record.buffer);
    view.setUint32(0, bytes.byteLength);
    view.setUint32(4, check(this.#key, this.#sealed++, record));
    return record;
  }

  /** Everything that `bytes` completes, in order; after `broken` nothing more. */
  open(bytes: Uint8Array): readonly Received[] {
    const received: Received[] = [];
    let rest = this.#rest.byteLength === 0 ? bytes : joined(this.#rest, bytes);
    while (!this.#isBroken && rest.byteLength >= HEADER_BYTES) {
      const view = new DataView(rest.buffer, rest.byteOffset, rest.byteLength);
      const end = HEADER_BYTES + view.getUint32(0);
      if (end > HEADER_BYTES + RECORD_BYTES) this.#isBroken = true;
      if (this.#isBroken || end > rest.byteLength) break;
      received.push(this.#openRecord(rest.subarray(0, end)));
      rest = rest.subarray(end);
    }
    if (this.#isBroken && received.at(-1)?.kind !== 'broken') received.push({ kind: 'broken' });
    this.#rest = this.#isBroken ? new Uint8Array() : new Uint8Array(rest);
    return received;
  }

  #openRecord(record: Uint8Array): Received {
    const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
    const sequence = this.#opened++;
    if (view.getUint32(4) !== check(this.#key, sequence, record)) {
      this.#isBroken = true;
      return { kind: 'broken' };
    }
    const plain = record.slice(HEADER_BYTES);
    for (let i = 0; i < plain.byteLength; i++) plain[i] = (plain[i] ?? 0) ^ CIPHER;
    return sequence === 0 ? { kind: 'greeting', name: String.fromCharCode(...plain) } : { kind: 'data', bytes: plain };
  }
}

function check(key: number, sequence: number, record: Uint8Array): number {
  let hash = Math.imul(key ^ sequence, 0x9e3779b1) ^ record.byteLength;
  for (let i = HEADER_BYTES; i < record.byteLength; i++) hash = Math.imul(hash ^ (record[i] ?? 0), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.byteLength + b.byteLength);
  both.set(a);
  both.set(b, a.byteLength);
  return both;
}
