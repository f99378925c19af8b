import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeProxyHeader, encodeProxyHeader } from './proxy-header.ts';

const HEADER = { spiffeId: 'spiffe://x0tta6bl4.mesh/node/oslo', service: 'hello' };

test('the header has the bytes of the specification', () => {
  expect(encodeProxyHeader(HEADER).toHex()).toBe(
    `0d0a0d0a000d0a515549540a2100002c020005${Buffer.from('hello').toString('hex')}ea0021${Buffer.from(HEADER.spiffeId).toString('hex')}`,
  );
});

test('what is encoded is decoded, whatever follows', () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 300 }),
      fc.string({ maxLength: 60 }),
      fc.uint8Array(),
      (spiffeId, service, rest) => {
        const bytes = encodeProxyHeader({ spiffeId: spiffeId.toWellFormed(), service: service.toWellFormed() });
        expect(decodeProxyHeader(Uint8Array.of(...bytes, ...rest))).toEqual({
          ok: true,
          value: { spiffeId: spiffeId.toWellFormed(), service: service.toWellFormed(), length: bytes.byteLength },
        });
      },
    ),
  );
});

test('every truncation asks for more and every other first byte is refused', () => {
  const bytes = encodeProxyHeader(HEADER);
  for (let length = 0; length < bytes.byteLength; length++) {
    expect(decodeProxyHeader(bytes.subarray(0, length))).toEqual({ ok: false, error: 'PROXY_HEADER_TRUNCATED' });
  }
  expect(decodeProxyHeader(Uint8Array.of(0x47, 0x45))).toEqual({ ok: false, error: 'PROXY_HEADER_MALFORMED' });
});

test('flipped bytes never throw', () => {
  const bytes = encodeProxyHeader(HEADER);
  fc.assert(
    fc.property(fc.nat(bytes.byteLength - 1), fc.nat(255), (at, value) => {
      const flipped = Uint8Array.from(bytes);
      flipped[at] = value;
      const decoded = decodeProxyHeader(flipped);
      expect(decoded.ok ? decoded.value.length : 0).toBeLessThanOrEqual(bytes.byteLength);
    }),
  );
});
