import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Secret } from '#kernel/secret.ts';

test('a secret shows itself only when asked to', () => {
  const secret = new Secret('canary');
  const nested = { list: [secret], error: new Error('failed', { cause: secret }) };
  const shown = [
    String(secret),
    [secret].join(' '),
    JSON.stringify(nested),
    inspect(nested, { showHidden: true, depth: 9 }),
  ];
  expect(shown.join(' ')).not.toContain('canary');
  expect(Object.keys(secret)).toEqual([]);
  expect(secret.reveal()).toBe('canary');
});
