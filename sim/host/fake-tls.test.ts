import { describe, expect, test } from 'vitest';
import { FakeTls } from './fake-tls.ts';

const TEXT = new Uint8Array([1, 2, 3, 4, 5]);

function pair(): readonly [FakeTls, FakeTls] {
  return [new FakeTls(9), new FakeTls(9)];
}

describe('fake TLS', () => {
  test('gives what was sealed, after the name of its sender, however it is cut', () => {
    const [near, far] = pair();
    const wire = [...near.greet('n01'), ...near.seal(TEXT)];
    const received = wire.flatMap((byte) => far.open(new Uint8Array([byte])));
    expect(received).toEqual([
      { kind: 'greeting', name: 'n01' },
      { kind: 'data', bytes: TEXT },
    ]);
  });

  test.each([0, 3, 4, 7, 8, 12])('notices that byte %i of a record was changed', (at) => {
    const [near, far] = pair();
    far.open(near.greet('n01'));
    const record = near.seal(TEXT);
    record[at] = (record[at] ?? 0) ^ 0x10;
    const after = [...far.open(record), ...far.open(near.seal(TEXT)), ...far.open(near.seal(TEXT))];
    expect(after.filter(({ kind }) => kind === 'data')).toEqual([]);
  });

  test('notices a record that is missing, repeated or out of order', () => {
    for (const order of [[1], [0, 0], [1, 0]]) {
      const [near, far] = pair();
      far.open(near.greet('n01'));
      const records = [near.seal(TEXT), near.seal(TEXT)];
      const kinds = order.flatMap((i) => far.open(records[i] ?? TEXT)).map(({ kind }) => kind);
      expect(kinds.at(-1)).toBe('broken');
    }
  });
});
