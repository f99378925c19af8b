import { concatBytes } from '#kernel/bytes.ts';
import type { SeededRandom } from '#kernel/random.ts';

/** Values at which parsers break: ends of ranges, and the first bytes of msgpack's and DER's long forms. */
const EDGES = [0x00, 0x01, 0x7f, 0x80, 0x81, 0x84, 0x90, 0xc0, 0xc6, 0xd9, 0xdb, 0xdc, 0xdd, 0xdf, 0xfe, 0xff];
/** Larger than every bounded message here, so that too big is met too; the largest limits have tests of their own. */
const MOST_BYTES = 70_000;
const MOST_MUTATIONS = 6;

/** Makes inputs out of valid ones. Everything follows from the random numbers. */
export class Mutator {
  readonly #random: SeededRandom;
  readonly #corpus: readonly Uint8Array[];

  constructor(random: SeededRandom, corpus: readonly Uint8Array[]) {
    this.#random = random;
    this.#corpus = corpus;
  }

  next(): Uint8Array {
    let input: Uint8Array = this.#pick(this.#corpus).slice();
    const count = 1 + this.#below(MOST_MUTATIONS);
    for (let index = 0; index < count; index++) input = this.#mutate(input);
    return input.subarray(0, MOST_BYTES);
  }

  #mutate(input: Uint8Array): Uint8Array {
    const at = this.#below(input.byteLength + 1);
    const length = Math.min(this.#below(1 + this.#below(64)), input.byteLength - at);
    const rest = input.subarray(at + length);
    const before = input.subarray(0, at);
    switch (this.#below(9)) {
      case 0:
        return this.#set(input, at, 1 << this.#below(8), true);
      case 1:
        return this.#set(input, at, this.#pick(EDGES), false);
      case 2:
        return this.#set(input, at, this.#below(256), false);
      case 3:
        return before.slice();
      case 4:
        return concatBytes([before, rest]);
      case 5:
        return concatBytes([before, this.#random.bytes(length), input.subarray(at)]);
      case 6:
        return this.#repeat(before, input.subarray(at, at + length), rest);
      case 7:
        return concatBytes([before, this.#slice(this.#pick(this.#corpus)), rest]);
      default:
        return concatBytes([before, new Uint8Array(length).fill(this.#pick(EDGES)), rest]);
    }
  }

  #repeat(before: Uint8Array, part: Uint8Array, rest: Uint8Array): Uint8Array {
    const count = 2 + this.#below(this.#random.fraction() < 0.05 ? 600 : 4);
    return concatBytes([before, ...Array.from({ length: count }, () => part), rest]);
  }

  #slice(from: Uint8Array): Uint8Array {
    const at = this.#below(from.byteLength + 1);
    return from.subarray(at, at + this.#below(from.byteLength - at + 1));
  }

  #set(input: Uint8Array, at: number, value: number, isFlip: boolean): Uint8Array {
    if (at < input.byteLength) input[at] = isFlip ? (input[at] ?? 0) ^ value : value;
    return input;
  }

  #below(limit: number): number {
    return Math.floor(this.#random.fraction() * limit);
  }

  #pick<T>(from: readonly T[]): T {
    const picked = from[this.#below(from.length)];
    if (picked === undefined) throw new RangeError('nothing to pick from');
    return picked;
  }
}
