import { decode, encode } from '@msgpack/msgpack';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isOneMessage } from '#kernel/msgpack-shape.ts';

function decodes(bytes: Uint8Array): boolean {
  try {
    decode(bytes);
    return true;
  } catch {
    return false;
  }
}

describe('one msgpack message', () => {
  test('is whatever the encoder makes, and nothing shorter or longer', () => {
    const values = fc.anything({ withNullPrototype: false, maxDepth: 4 }).filter((value) => {
      try {
        return encode(value).byteLength > 0;
      } catch {
        return false;
      }
    });
    fc.assert(
      fc.property(values, fc.nat(), (value, cut) => {
        const bytes = encode(value);
        expect(isOneMessage(bytes, 32)).toBe(true);
        expect(isOneMessage(bytes.subarray(0, cut % bytes.byteLength), 32)).toBe(false);
        expect(isOneMessage(Uint8Array.of(...bytes, 0xc0), 32)).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  test('is never fewer bytes than the decoder needs', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 24 }), (bytes) => {
        expect(isOneMessage(bytes, 32) || !decodes(bytes)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test('of every long form is as long as it says', () => {
    const bytes = new Uint8Array(70_000);
    for (const value of [bytes, bytes.subarray(0, 300), 'a'.repeat(300), 'a'.repeat(70_000), -(2 ** 40), 2 ** 40, 1.5])
      expect(isOneMessage(encode(value), 1)).toBe(true);
    expect(isOneMessage(encode(Array.from({ length: 70_000 }, () => 1)), 2)).toBe(true);
    expect(isOneMessage(encode(new Date(1_800_000_000_123)), 1)).toBe(true);
  });

  test('does not claim a million elements in five bytes, nor nest deeper than allowed', () => {
    expect(isOneMessage(Uint8Array.of(0xdd, 0, 0x0f, 0x42, 0x40), 8)).toBe(false);
    expect(isOneMessage(Uint8Array.of(0x91, 0x91, 0x91, 0xc0), 4)).toBe(true);
    expect(isOneMessage(Uint8Array.of(0x91, 0x91, 0x91, 0xc0), 3)).toBe(false);
    expect(isOneMessage(new Uint8Array(1_000_000).fill(0x91), 16)).toBe(false);
  });
});
