import { encode } from '@msgpack/msgpack';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concatBytes } from '#kernel/bytes.ts';
import { decodeBody, encodeBody } from '#mesh/linkstate/body.ts';
import {
  MAX_BODY_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_NEIGHBOURS,
  MAX_RECORD_BYTES,
  MAX_SEQUENCE,
} from '#mesh/linkstate/limits.ts';
import { encodeMessage, parseMessage, type Message } from '#mesh/linkstate/messages.ts';
import {
  attachSignature,
  compareVersions,
  encodeUnsigned,
  parseRecord,
  signatureInput,
} from '#mesh/linkstate/record.ts';

const body = encodeBody({
  neighbours: new Map([['rome', 50]]),
  relay: true,
  draining: false,
  issuedAtMs: 1_800_000_000_000,
});
const unsigned = encodeUnsigned({
  origin: 'oslo',
  incarnation: 2 ** 40,
  sequence: 7,
  certificateHash: new Uint8Array(32).fill(0xcc),
  body,
});
const record = attachSignature(unsigned, Uint8Array.of(0xde, 0xad));
const hash = 'ab'.repeat(32);

describe('golden bytes', () => {
  test('of a record body', () => {
    expect(body.toHex()).toBe(
      '84aa6e65696768626f7572739192a4726f6d6532a572656c6179c3a8647261696e696e67c2a86973737565644174cf000001a3185c5000',
    );
  });

  test('of a record', () => {
    const fields = [
      '01',
      '04',
      '6f736c6f',
      '0000010000000000',
      '00000007',
      'cc'.repeat(32),
      '00000037',
      body.toHex(),
      '0002',
      'dead',
    ];
    expect(body.byteLength).toBe(0x37);
    expect(record.toHex()).toBe(fields.join(''));
  });

  test('of what a record signature covers: its context and everything before the signature', () => {
    const context = '78302f7265636f72642f763100';
    expect(signatureInput(unsigned).toHex()).toBe(context + record.subarray(0, -4).toHex());
  });

  const messages: readonly (readonly [Message, string])[] = [
    [{ kind: 'summary', hash }, `0101${hash}`],
    [
      { kind: 'digest', entries: [{ origin: 'a', incarnation: 1, sequence: 2, hash }] },
      `010200010161000000000000000100000002${hash}`,
    ],
    [{ kind: 'request', origins: ['a', 'bc'] }, '010300020161026263'],
    [{ kind: 'record', record: Uint8Array.of(1, 2) }, '01040102'],
    [{ kind: 'certificate-request', hashes: [hash] }, `010501${hash}`],
    [{ kind: 'certificate', der: Uint8Array.of(3) }, '010603'],
  ];

  test.each(messages)('of message %o', (message, hex) => {
    expect(encodeMessage(message).toHex()).toBe(hex);
    expect(parseMessage(Uint8Array.fromHex(hex))).toEqual({ ok: true, value: message });
  });
});

describe('parseRecord', () => {
  test('gives back what was encoded', () => {
    const parsed = parseRecord(record);
    expect(parsed).toMatchObject({
      ok: true,
      value: {
        origin: 'oslo',
        incarnation: 2 ** 40,
        sequence: 7,
        certificateHash: 'cc'.repeat(32),
        body,
        signedBytes: unsigned,
        bytes: record,
      },
    });
  });

  test('refuses every prefix and never throws on any bytes', () => {
    for (let length = 0; length < record.byteLength; length++)
      expect(parseRecord(record.subarray(0, length)).ok).toBe(false);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => void parseRecord(bytes)));
    expect(parseRecord(new Uint8Array(MAX_RECORD_BYTES + 1))).toEqual({ ok: false, error: 'record-too-big' });
  });

  test('orders by incarnation, then by sequence', () => {
    expect(
      compareVersions({ incarnation: 2, sequence: 1 }, { incarnation: 1, sequence: MAX_SEQUENCE }),
    ).toBeGreaterThan(0);
    expect(compareVersions({ incarnation: 2, sequence: 1 }, { incarnation: 2, sequence: 2 })).toBeLessThan(0);
  });

  test('of the largest record fits into a message', () => {
    const long = 'a'.repeat(63);
    const big = encodeUnsigned({
      origin: long,
      incarnation: 1,
      sequence: 1,
      certificateHash: new Uint8Array(32),
      body: new Uint8Array(MAX_BODY_BYTES),
    });
    const bytes = attachSignature(big, new Uint8Array(8 * 1024));
    expect(bytes.byteLength).toBe(MAX_RECORD_BYTES);
    expect(encodeMessage({ kind: 'record', record: bytes }).byteLength).toBeLessThanOrEqual(MAX_MESSAGE_BYTES);
  });
});

describe('decodeBody', () => {
  test('takes the most and the longest neighbours', () => {
    const neighbours = new Map(
      Array.from({ length: MAX_NEIGHBOURS }, (_, i) => [`${'a'.repeat(60)}${100 + i}`, 1_000_000]),
    );
    const bytes = encodeBody({ neighbours, relay: true, draining: true, issuedAtMs: 5 });
    expect(bytes.byteLength).toBeLessThan(MAX_BODY_BYTES);
    expect(decodeBody(bytes, 'oslo')).toEqual({
      ok: true,
      value: { neighbours, relay: true, draining: true, issuedAtMs: 5 },
    });
  });

  test('refuses a field that is called like the prototype, wherever it is', () => {
    const bytes = encode({ neighbours: [], relay: false, draining: false, issuedAt: 9, x: { ['__proto__']: [] } });
    expect(decodeBody(bytes, 'oslo')).toEqual({ ok: false, error: 'record-body-malformed' });
  });

  test('reads over other fields of any kind that it does not know', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^x[a-z]{0,8}$/), fc.jsonValue({ maxDepth: 3 })), (unknown) => {
        fc.pre(!JSON.stringify(unknown).includes('__proto__'));
        const bytes = encode({
          ...unknown,
          neighbours: [['rome', 1, unknown]],
          relay: false,
          draining: false,
          issuedAt: 9,
        });
        expect(decodeBody(bytes, 'oslo').ok).toBe(bytes.byteLength <= MAX_BODY_BYTES);
      }),
    );
  });

  test('never throws, and refuses every prefix', () => {
    for (let length = 0; length < body.byteLength; length++)
      expect(decodeBody(body.subarray(0, length), 'oslo').ok).toBe(false);
    expect(decodeBody(concatBytes([body, Uint8Array.of(0)]), 'oslo')).toEqual({
      ok: false,
      error: 'record-body-malformed',
    });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decodeBody(bytes, 'oslo')),
      { numRuns: 2000 },
    );
  });
});

describe('parseMessage', () => {
  test('never throws on any bytes', () => {
    const framed = fc
      .tuple(fc.nat(8), fc.uint8Array({ maxLength: 300 }))
      .map(([kind, rest]) => concatBytes([Uint8Array.of(1, kind), rest]));
    fc.assert(
      fc.property(fc.oneof(framed, fc.uint8Array()), (bytes) => void parseMessage(bytes)),
      { numRuns: 2000 },
    );
    expect(parseMessage(Uint8Array.of(1, 9))).toEqual({ ok: false, error: 'message-unknown-kind' });
  });

  test('refuses what is cut off or too long', () => {
    const digest = encodeMessage({ kind: 'digest', entries: [{ origin: 'a', incarnation: 1, sequence: 2, hash }] });
    for (let length = 0; length < digest.byteLength; length++)
      expect(parseMessage(digest.subarray(0, length)).ok).toBe(false);
    expect(parseMessage(concatBytes([digest, Uint8Array.of(0)]))).toEqual({ ok: false, error: 'message-malformed' });
    expect(parseMessage(concatBytes([Uint8Array.of(1, 6), new Uint8Array(20_000)]))).toEqual({
      ok: false,
      error: 'message-malformed',
    });
  });
});
