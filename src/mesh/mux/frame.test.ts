import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeHello,
  decodeReason,
  encodeFrame,
  encodeHello,
  encodeReason,
  FrameType,
  type Hello,
  MAX_DATA_BYTES,
  NO_TUNNEL_ID,
} from '#mesh/mux/frame.ts';
import { FrameParser } from '#mesh/mux/frame-parser.ts';

const hello: Hello = {
  version: 1,
  oldestVersion: 1,
  incarnation: 1_763_769_600_000,
  features: 0,
  tunnelId: Uint8Array.from({ length: 16 }, (_, i) => i),
  replaces: NO_TUNNEL_ID,
};

function parse(chunks: readonly Uint8Array[]) {
  const frames: { type: number; id: number; payload: string }[] = [];
  const malformed: string[] = [];
  const parser = new FrameParser({
    handleFrame: (type, id, payload) => frames.push({ type, id, payload: payload.toHex() }),
    handleData: (id, bytes) => {
      const last = frames.at(-1);
      if (last?.type === FrameType.data && last.id === id) last.payload += bytes.toHex();
      else frames.push({ type: FrameType.data, id, payload: bytes.toHex() });
    },
    handleMalformed: (code) => malformed.push(code),
  });
  for (const chunk of chunks) parser.handleBytes(chunk);
  return { frames, malformed };
}

describe('frames', () => {
  test('keep their golden bytes', () => {
    expect(encodeFrame(FrameType.data, 0x01020304, Uint8Array.of(0xaa, 0xbb)).toHex()).toBe('0500000201020304aabb');
    expect(encodeFrame(FrameType.ping, 0, new Uint8Array(8)).toHex()).toBe('09000008000000000000000000000000');
    expect(encodeFrame(FrameType.drain, 3, encodeReason({ code: 'A', hop: 'b' })).toHex()).toBe(
      '0d00000300000003414062',
    );
    expect(encodeHello(hello).toHex()).toBe(
      '000100010000019aa8dc480000000000000102030405060708090a0b0c0d0e0f00000000000000000000000000000000',
    );
  });

  test('HELLO survives the round trip and carries a refusal', () => {
    expect(decodeHello(encodeHello(hello))).toEqual({ ok: true, value: hello });
    const refusing = { ...hello, refusal: { code: 'CERT_REVOKED' } };
    expect(decodeHello(encodeHello(refusing))).toEqual({ ok: true, value: refusing });
  });

  test('a HELLO of version 99 only is refused by name, one that also speaks ours is not', () => {
    expect(decodeHello(encodeHello({ ...hello, version: 99, oldestVersion: 98 }))).toEqual({
      ok: false,
      error: 'VERSION_UNSUPPORTED',
    });
    expect(decodeHello(encodeHello({ ...hello, version: 2, oldestVersion: 1 })).ok).toBe(true);
  });

  test('a reason that does not follow the grammar reads as unreadable', () => {
    expect(decodeReason(encodeReason({ code: 'NO_PATH', hop: 'rome' }))).toEqual({ code: 'NO_PATH', hop: 'rome' });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 160 }), (bytes) => {
        expect(decodeReason(bytes).code).toMatch(/^[A-Z][A-Z0-9_]{0,63}$/);
      }),
    );
  });

  test('read the same however the transport cuts them', () => {
    const frame = fc.record({
      type: fc.constantFrom(FrameType.open, FrameType.data, FrameType.fin, FrameType.reset, FrameType.ping),
      id: fc.integer({ min: 0, max: 0xffff_ffff }),
      size: fc.integer({ min: 1, max: 40 }),
    });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 30 })), (specs, cuts) => {
        const frames = specs.map(({ type, id, size }, index) =>
          encodeFrame(type, (id + index) >>> 0, new Uint8Array(sizeOf(type, size)).fill(index)),
        );
        const whole = parse(frames);
        const joined = Uint8Array.from(frames.flatMap((each) => [...each]));
        expect(parse(cut(joined, cuts))).toEqual(whole);
        expect(whole.malformed).toEqual([]);
        expect(whole.frames.filter(({ type }) => type !== FrameType.data)).toHaveLength(
          specs.filter(({ type }) => type !== FrameType.data).length,
        );
      }),
    );
  });

  test('an unknown type and a payload over its limit end the reading', () => {
    expect(parse([Uint8Array.of(77, 0, 0, 0, 0, 0, 0, 1)]).malformed).toEqual(['FRAME_UNKNOWN_TYPE']);
    expect(parse([Uint8Array.of(FrameType.data, 0xff, 0xff, 0xff, 0, 0, 0, 1)]).malformed).toEqual(['FRAME_TOO_BIG']);
    expect(parse([Uint8Array.of(FrameType.ping, 0, 0, 9, 0, 0, 0, 0)]).malformed).toEqual(['FRAME_TOO_BIG']);
  });

  test('no bytes at all make the parser throw or hold more than one control payload', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const { frames } = parse([bytes]);
        for (const { payload } of frames) expect(payload.length / 2).toBeLessThanOrEqual(MAX_DATA_BYTES);
      }),
    );
  });
});

function sizeOf(type: number, size: number): number {
  if (type === FrameType.fin) return 0;
  return type === FrameType.ping ? 8 : size;
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let offset = 0;
  for (const size of sizes) {
    if (offset >= bytes.byteLength) break;
    chunks.push(bytes.subarray(offset, offset + size));
    offset += size;
  }
  chunks.push(bytes.subarray(offset));
  return chunks;
}
