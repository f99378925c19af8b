import { describe, expect, test } from 'vitest';
import {
  decodeConduitAttach,
  decodeConduitOpen,
  decodeConduitPosition,
  encodeConduitAttach,
  encodeConduitOpen,
  encodeConduitPosition,
} from '#mesh/conduit/conduit-open.ts';
import { decodeAck, encodeAck } from '#mesh/mux/frame.ts';

const id = '000102030405060708090a0b0c0d0e0f';

describe('golden bytes', () => {
  test('of OPEN, kind conduit', () => {
    const open = { id, attempt: 1, incarnation: 1_800_000_000_000, service: 'hello' };
    const bytes = encodeConduitOpen(open);
    expect(bytes.toHex()).toBe(`9501c410${id}01cf000001a3185c5000a568656c6c6f`);
    expect(decodeConduitOpen(bytes)).toEqual(open);
  });

  test('of OPEN with a trace, which those who do not know it pass over', () => {
    const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const open = { id, attempt: 1, incarnation: 1, service: 'hello', trace };
    const bytes = encodeConduitOpen(open);
    expect(bytes.toHex()).toBe(`9601c410${id}0101a568656c6c6fd937${new TextEncoder().encode(trace).toHex()}`);
    expect(decodeConduitOpen(bytes)).toEqual(open);
    expect(decodeConduitOpen(encodeConduitOpen({ ...open, trace: 'x\n' }))).not.toHaveProperty('trace');
  });

  test('of OPEN, kind attach', () => {
    const attach = { id, attempt: 3, received: 70_000, fin: true };
    const bytes = encodeConduitAttach(attach);
    expect(bytes.toHex()).toBe(`9501c410${id}03ce00011170c3`);
    expect(decodeConduitAttach(bytes)).toEqual(attach);
  });

  test('of ACCEPT and of ACK', () => {
    expect(encodeConduitPosition({ received: 5, fin: false }).toHex()).toBe('9205c2');
    expect(decodeConduitPosition(encodeConduitPosition({ received: 5, fin: false }))).toEqual({
      received: 5,
      fin: false,
    });
    const ack = { received: 2 ** 32 + 1, fin: true, done: false };
    expect(encodeAck(ack).toHex()).toBe('010000000100000001');
    expect(decodeAck(encodeAck(ack))).toEqual(ack);
  });
});

describe('what is no body of ours reads as nothing', () => {
  const open = { id, attempt: 1, incarnation: 1, service: 'hello' };
  const attach = { id, attempt: 1, received: 0, fin: false };

  test.each([
    ['nothing', new Uint8Array()],
    ['another version', encodeConduitOpen(open).with(1, 99)],
    ['a truncated one', encodeConduitOpen(open).slice(0, -1)],
    ['a service that is no name', encodeConduitOpen({ ...open, service: 'No Name' })],
    ['a short id', encodeConduitOpen({ ...open, id: id.slice(2) })],
    ['a negative attempt', encodeConduitOpen({ ...open, attempt: -1 })],
  ])('%s', (_, bytes) => {
    expect(decodeConduitOpen(bytes)).toBeUndefined();
    expect(decodeConduitAttach(bytes)).toBeUndefined();
  });

  test('an offset that is none', () => {
    for (const received of [-1, 0.5, 2 ** 53])
      expect(decodeConduitAttach(encodeConduitAttach({ ...attach, received }))).toBeUndefined();
    expect(decodeAck(new Uint8Array(8))).toBeUndefined();
    expect(decodeAck(new Uint8Array(9).fill(0xff))).toBeUndefined();
  });
});
