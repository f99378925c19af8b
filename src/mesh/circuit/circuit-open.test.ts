import { encode } from '@msgpack/msgpack';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type CircuitView,
  decideCircuit,
  decodeCircuitOpen,
  encodeCircuitOpen,
  MAX_REMAINING_HOPS,
} from '#mesh/circuit/circuit-open.ts';

const view: CircuitView = {
  self: 'rome',
  from: 'oslo',
  isRelay: true,
  hasLink: (peer) => peer === 'lima' || peer === 'kyiv',
  hasRoom: (from, to) => `${from}>${to}` !== 'oslo>kyiv',
};

describe('the OPEN of a circuit', () => {
  test('keeps its golden bytes', () => {
    expect(encodeCircuitOpen(['lima', 'bonn']).toHex()).toBe('920192a46c696d61a4626f6e6e');
    expect(encodeCircuitOpen([]).toHex()).toBe('920190');
  });

  test('survives the round trip for every path that there may be', () => {
    const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
    fc.assert(
      fc.property(fc.array(name, { maxLength: MAX_REMAINING_HOPS }), (hops) => {
        expect(decodeCircuitOpen(encodeCircuitOpen(hops))).toEqual({ ok: true, value: hops });
      }),
    );
  });

  test.each([
    ['CIRCUIT_VERSION', encode([99, ['lima']])],
    ['CIRCUIT_TOO_LONG', encode([1, Array.from({ length: MAX_REMAINING_HOPS + 1 }, (_, i) => `n${i}`)])],
    ['CIRCUIT_MALFORMED', encode([1, ['Lima']])],
    ['CIRCUIT_MALFORMED', encode([1, ['a'.repeat(64)]])],
    ['CIRCUIT_MALFORMED', encode([1, [7]])],
    ['CIRCUIT_MALFORMED', encode([1, 'lima'])],
    ['CIRCUIT_MALFORMED', encode({ 1: ['lima'] })],
    ['CIRCUIT_MALFORMED', encodeCircuitOpen(['lima']).subarray(0, 5)],
    ['CIRCUIT_MALFORMED', Uint8Array.of(0x92, 0x01, 0xdd, 0x00, 0x0f, 0x42, 0x40)],
    ['CIRCUIT_MALFORMED', new Uint8Array()],
  ])('is refused by %s', (code, body) => {
    expect(decodeCircuitOpen(body)).toEqual({ ok: false, error: code });
  });

  test('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (body) => {
        const decoded = decodeCircuitOpen(body);
        expect(decoded.ok ? decoded.value.length : 0).toBeLessThanOrEqual(MAX_REMAINING_HOPS);
      }),
    );
  });
});

describe('a relay judges a path', () => {
  test.each([
    [['lima', 'bonn'], { ok: true, value: 'lima' }],
    [[], { ok: true, value: undefined }],
    [['lima', 'bonn', 'lima'], { ok: false, error: 'CIRCUIT_LOOP' }],
    [['lima', 'rome'], { ok: false, error: 'CIRCUIT_LOOP' }],
    [['oslo'], { ok: false, error: 'CIRCUIT_LOOP' }],
    [['bonn'], { ok: false, error: 'CIRCUIT_NO_LINK' }],
    [['kyiv'], { ok: false, error: 'CIRCUIT_CAP' }],
  ])('%j', (hops, verdict) => {
    expect(decideCircuit(hops, view)).toEqual(verdict);
  });

  test('and refuses all but its own end when it does not relay', () => {
    const leaf = { ...view, isRelay: false };
    expect(decideCircuit(['lima'], leaf)).toEqual({ ok: false, error: 'CIRCUIT_NOT_RELAY' });
    expect(decideCircuit([], leaf)).toEqual({ ok: true, value: undefined });
  });
});
