/** Where a pure machine gets its randomness: the real one is the system's, a simulated one comes from a seed. */
export interface RandomSource {
  /** Uniform in [0, 1). */
  fraction(): number;
  /** `length` fresh bytes. */
  bytes(length: number): Uint8Array;
}

/** xoshiro128** of Blackman and Vigna: reproducible from `seed`, for tests and simulation, never for secrets. */
export class SeededRandom implements RandomSource {
  readonly #state: Uint32Array;

  constructor(seed: number) {
    this.#state = new Uint32Array(4);
    let mix = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      mix = (mix + 0x9e3779b9) >>> 0;
      let word = mix;
      word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
      word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
      this.#state[i] = (word ^ (word >>> 16)) >>> 0;
    }
  }

  /** Uniform over 32 bits. */
  word(): number {
    const s = this.#state;
    const s1 = s[1] ?? 0;
    const scrambled = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
    const shifted = s1 << 9;
    s[2] = (s[2] ?? 0) ^ (s[0] ?? 0);
    s[3] = (s[3] ?? 0) ^ s1;
    s[1] = s1 ^ (s[2] ?? 0);
    s[0] = (s[0] ?? 0) ^ (s[3] ?? 0);
    s[2] = (s[2] ?? 0) ^ shifted;
    s[3] = rotateLeft(s[3] ?? 0, 11);
    return scrambled;
  }

  fraction(): number {
    return this.word() / 0x1_0000_0000;
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i++) out[i] = this.word() & 0xff;
    return out;
  }
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
