import { randomBytes, randomInt } from 'node:crypto';
import type { RandomSource } from '#kernel/random.ts';

const STEPS = 2 ** 47;

/** The operating system's randomness, fit for secrets. */
export const systemRandom: RandomSource = {
  fraction: () => randomInt(STEPS) / STEPS,
  bytes: (length) => new Uint8Array(randomBytes(length)),
};
