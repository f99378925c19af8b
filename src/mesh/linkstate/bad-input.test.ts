import * as fc from 'fast-check';
import { encode } from '@msgpack/msgpack';
import { describe, expect, test } from 'vitest';
import { asciiBytes, concatBytes } from '#kernel/bytes.ts';
import { START_WALL_MS, type FakeIdentity } from '#mesh/linkstate/fake-network.ts';
import {
  MAX_AGE_MS,
  MAX_MESSAGE_BYTES,
  MAX_NEIGHBOURS,
  MAX_ORIGINS,
  MAX_PENDING_PER_NEIGHBOUR,
  NEIGHBOUR_BURST,
  ORIGIN_BURST,
} from '#mesh/linkstate/limits.ts';
import { Bench, makeRecord, patched } from '../../../tests/fixtures/linkstate-bench.ts';

describe('bad input', () => {
  const refusals: readonly (readonly [string, string, (far: FakeIdentity) => Uint8Array])[] = [
    ['of version 99', 'record-version-unsupported', (far) => patched(makeRecord(far), 0, 99)],
    ['that is truncated', 'record-truncated', (far) => makeRecord(far).subarray(0, -1)],
    ['that is empty', 'record-truncated', () => new Uint8Array(0)],
    ['with bytes behind its end', 'record-trailing-bytes', (far) => concatBytes([makeRecord(far), asciiBytes('x')])],
    ['with an origin that is no name', 'record-bad-origin', (far) => patched(makeRecord(far), 2, 0x2f)],
    ['with sequence zero', 'record-sequence-out-of-range', (far) => patchedWord(makeRecord(far), 13, 0)],
    [
      'whose sequence jumps past the end',
      'record-sequence-out-of-range',
      (far) => patchedWord(makeRecord(far), 13, 0xffff_ffff),
    ],
    ['with incarnation zero', 'record-incarnation-out-of-range', (far) => patched(makeRecord(far), 12, 0)],
    [
      'with an incarnation beyond numbers',
      'record-incarnation-out-of-range',
      (far) => patched(makeRecord(far), 5, 0xff),
    ],
    ['that claims a body of 4 GiB', 'record-body-too-big', (far) => patchedWord(makeRecord(far), 49, 0xffff_ffff)],
    ['with a body of 21 KiB', 'record-body-too-big', (far) => longBody(far)],
    ['naming itself as neighbour', 'record-names-itself', (far) => makeRecord(far, { neighbours: [['far', 5]] })],
    ['with cost zero', 'record-cost-out-of-range', (far) => makeRecord(far, { neighbours: [['x', 0]] })],
    ['with a cost below zero', 'record-cost-out-of-range', (far) => makeRecord(far, { neighbours: [['x', -5]] })],
    [
      'with a cost above the bound',
      'record-cost-out-of-range',
      (far) => makeRecord(far, { neighbours: [['x', 1_000_001]] }),
    ],
    ['with a broken cost', 'record-cost-out-of-range', (far) => makeRecord(far, { neighbours: [['x', 1.5]] })],
    [
      'naming one neighbour twice',
      'record-neighbour-twice',
      (far) =>
        makeRecord(far, {
          body: bodyOf({
            neighbours: [
              ['x', 1],
              ['x', 2],
            ],
          }),
        }),
    ],
    [
      'with a neighbour that is no name',
      'record-bad-neighbour-name',
      (far) => makeRecord(far, { neighbours: [['../x', 5]] }),
    ],
    [
      'with 257 neighbours',
      'record-too-many-neighbours',
      (far) => makeRecord(far, { neighbours: Array.from({ length: 257 }, (_, i) => [`x${i}`, 1]) }),
    ],
    [
      'claiming a million neighbours',
      'record-body-malformed',
      (far) => makeRecord(far, { body: Uint8Array.of(0x81, 0xa1, 0x6e, 0xdd, 0, 0x0f, 0x42, 0x40) }),
    ],
    [
      'with endless nesting',
      'record-body-malformed',
      (far) => makeRecord(far, { body: new Uint8Array(10_000).fill(0x91) }),
    ],
    ['whose body is no map', 'record-body-malformed', (far) => makeRecord(far, { body: encode([1, 2]) })],
    ['without fields', 'record-body-malformed', (far) => makeRecord(far, { body: encode({}) })],
    [
      'from the future',
      'record-from-the-future',
      (far) => makeRecord(far, { issuedAtMs: START_WALL_MS + 16 * 60_000 }),
    ],
    ['too old', 'record-expired', (far) => makeRecord(far, { issuedAtMs: START_WALL_MS - MAX_AGE_MS })],
    ['signed by another', 'record-bad-signature', (far) => patched(makeRecord(far), -1, 0)],
    [
      'whose body was changed on the way',
      'record-bad-signature',
      (far) => concatBytes([makeRecord(far, { draining: true }).subarray(0, -34), makeRecord(far).subarray(-34)]),
    ],
  ];

  test.each(refusals)('refuses a record %s: %s', (_what, code, make) => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.giveRecord('left', make(far));
    if (bench.asked('left').length > 0) bench.giveCertificate('left', far);
    expect(bench.count(code)).toBe(1);
    expect(bench.knows('far')).toBe(false);
    expect(bench.records('right')).toEqual([]);
    bench.introduce('left', far, { sequence: 9 });
    expect(bench.version('far')).toEqual([1, 9]);
  });

  test('refuses a record that cites the certificate of another', () => {
    const bench = new Bench();
    bench.introduce('left', bench.issue('mallory'), { origin: 'far' });
    expect(bench.count('record-certificate-of-another')).toBe(1);
    expect(bench.knows('far')).toBe(false);
  });

  test('refuses a certificate that nobody asked for, and one that the issuer did not sign', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.giveCertificate('left', far);
    expect(bench.count('certificate-unasked')).toBe(1);
    bench.network.authority.distrusted.add(far.hash.toHex());
    bench.introduce('left', far);
    expect(bench.count('certificate-refused')).toBe(1);
    const { certificateChecks } = bench.network.authority;
    for (let i = 2; i < 50; i++) bench.introduce('left', far, { sequence: i });
    expect(bench.network.authority.certificateChecks).toBe(certificateChecks);
  });

  test('checks the signature of one forged record once, and hears less from who sends many', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    bench.introduce('left', far);
    const forged = patched(makeRecord(far, { sequence: 2 }), -1, 0);
    const before = bench.network.authority.verifications;
    for (let i = 0; i < 10; i++) bench.giveRecord('left', forged);
    expect(bench.network.authority.verifications).toBe(before + 1);
    for (let i = 3; i < 1000; i++) bench.giveRecord('left', patched(makeRecord(far, { sequence: i }), -1, 0));
    expect(bench.count('message-neighbour-rate')).toBeGreaterThan(500);
    bench.giveRecord('right', makeRecord(far, { sequence: 1000 }));
    expect(bench.version('far')).toEqual([1, 1000]);
  });

  test('bounds how often one origin may change, without letting others use its allowance up', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    for (let i = 1; i <= 100; i++) bench.introduce('left', far, { sequence: i });
    expect(bench.count('record-origin-rate')).toBe(100 - ORIGIN_BURST);
    expect(bench.version('far')).toEqual([1, ORIGIN_BURST]);
    const near = bench.issue('near');
    bench.introduce('right', near);
    for (let i = 2; i < 100; i++) bench.giveRecord('left', patched(makeRecord(near, { sequence: i }), -1, 0));
    bench.giveRecord('right', makeRecord(near, { sequence: 200 }));
    expect(bench.version('near')).toEqual([1, 200]);
  });

  test('bounds what one neighbour may say', () => {
    const bench = new Bench();
    for (let i = 0; i < NEIGHBOUR_BURST + 50; i++) bench.give('left', { kind: 'request', origins: [] });
    expect(bench.count('message-neighbour-rate')).toBe(50);
  });

  test('bounds the records that wait for certificates, and forgets them', () => {
    const bench = new Bench();
    for (let i = 0; i < 500; i++) bench.giveRecord('left', makeRecord(bench.issue(`f${i}`)));
    expect(bench.count('record-pending-full')).toBe(500 - MAX_PENDING_PER_NEIGHBOUR);
    const far = bench.issue('far');
    bench.introduce('right', far);
    expect(bench.knows('far')).toBe(true);
    bench.later(6000);
    expect(bench.count('record-certificate-missing')).toBe(MAX_PENDING_PER_NEIGHBOUR);
    const again = bench.issue('again');
    bench.introduce('left', again);
    expect(bench.knows('again')).toBe(true);
  });

  test('holds 4,096 origins, and still hears those', () => {
    const bench = new Bench();
    const identities = Array.from({ length: MAX_ORIGINS }, (_, i) => bench.issue(`f${i}`));
    for (const [i, identity] of identities.entries()) {
      bench.introduce('left', identity);
      if (i % 100 === 99) bench.later(200);
      bench.sent.length = 0;
    }
    expect(bench.home.records()).toHaveLength(MAX_ORIGINS);
    expect(bench.count('record-table-full')).toBe(1);
    bench.giveRecord('right', makeRecord(bench.issue('f0'), { sequence: 1 }));
    bench.introduce('left', identities[5] ?? bench.issue('none'), { sequence: 2 });
    expect(bench.version('f5')).toEqual([1, 2]);
  });

  test('names no more than 256 neighbours of its own', () => {
    const bench = new Bench(Array.from({ length: 300 }, (_, i) => `p${i}`));
    const own = bench.home.records().find(({ origin }) => origin === 'home');
    expect(own?.neighbours).toHaveLength(MAX_NEIGHBOURS);
  });

  test('answers many summaries with one digest', () => {
    const bench = new Bench();
    for (let i = 0; i < 100; i++) bench.give('left', { kind: 'summary', hash: 'ab'.repeat(32) });
    expect(bench.sent.filter(({ message }) => message.kind === 'digest')).toHaveLength(1);
  });

  test('asks in portions for what a digest promises, and gives up on promises', () => {
    const bench = new Bench();
    const entries = Array.from({ length: 200 }, (_, i) => ({
      origin: `f${i}`,
      incarnation: 1,
      sequence: 1,
      hash: '00'.repeat(32),
    }));
    bench.give('left', { kind: 'digest', entries });
    const asked = () => bench.sent.flatMap(({ message }) => (message.kind === 'request' ? message.origins : [])).length;
    expect(asked()).toBe(64);
    bench.later(6000);
    expect(asked()).toBe(128);
  });

  test.each([
    ['of version 99', 'message-version-unsupported', Uint8Array.of(99, 1)],
    ['of an unknown kind', 'message-unknown-kind', Uint8Array.of(1, 77)],
    ['that is empty', 'message-malformed', new Uint8Array(0)],
    ['with half a hash', 'message-malformed', Uint8Array.of(1, 1, 5, 5)],
    ['with a digest of 65,535 entries', 'message-malformed', Uint8Array.of(1, 2, 0xff, 0xff)],
    ['with a request of 65,535 entries', 'message-malformed', Uint8Array.of(1, 3, 0xff, 0xff)],
    ['of 33 KiB', 'message-too-big', new Uint8Array(MAX_MESSAGE_BYTES + 1)],
  ])('refuses a message %s: %s', (_what, code, bytes) => {
    const bench = new Bench();
    bench.giveBytes('left', bytes);
    expect(bench.count(code)).toBe(1);
  });

  test('hears nothing from who is no neighbour', () => {
    const bench = new Bench();
    bench.giveRecord('stranger', makeRecord(bench.issue('far')));
    expect(bench.count('message-from-stranger')).toBe(1);
  });

  test('survives any bytes', () => {
    const bench = new Bench();
    const far = bench.issue('far');
    const seeds = [makeRecord(far), far.der].map((payload, i) =>
      concatBytes([Uint8Array.of(1, i === 0 ? 4 : 6), payload]),
    );
    const mutated = fc
      .tuple(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }))
      .map(([seed, patches]) => {
        const bytes = seed.slice();
        for (const [offset, value] of patches) bytes[offset % bytes.length] = value;
        return bytes;
      });
    const framed = fc
      .tuple(fc.nat(7), fc.uint8Array({ maxLength: 300 }))
      .map(([kind, rest]) => concatBytes([Uint8Array.of(1, kind), rest]));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated, framed), (bytes) => {
        bench.giveBytes('left', bytes);
        bench.later(50);
        expect(bench.knows('home')).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});

function patchedWord(bytes: Uint8Array, offset: number, value: number): Uint8Array {
  const copy = bytes.slice();
  new DataView(copy.buffer).setUint32(offset, value);
  return copy;
}

function bodyOf(fields: Record<string, unknown>): Uint8Array {
  return encode({ neighbours: [], relay: true, draining: false, issuedAt: START_WALL_MS, ...fields });
}

function longBody(far: FakeIdentity): Uint8Array {
  const record = makeRecord(far, { body: bodyOf({ filler: 'x'.repeat(20_000) }) });
  const longer = concatBytes([record.subarray(0, 53), new Uint8Array(21 * 1024), record.subarray(-34)]);
  return patchedWord(longer, 49, 21 * 1024);
}
