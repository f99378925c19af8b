import { encode } from '@msgpack/msgpack';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeJoinToken, parseJoinToken, TOKEN_PREFIX } from '#trust/token.ts';
import type { JoinToken } from '#trust/token.ts';

const token: JoinToken = {
  id: '0123456789abcdef',
  secret: new Uint8Array(32).fill(7),
  node: 'oslo',
  addresses: ['192.0.2.1:8443', '[2001:db8::1]:8443'],
  rootSha256: new Uint8Array(32).fill(9),
  trustDomain: 'x0tta6bl4.mesh',
};

function textOf(fields: Record<string, unknown>): string {
  return TOKEN_PREFIX + encode({ v: 1, ...token, ...fields }).toBase64({ alphabet: 'base64url', omitPadding: true });
}

describe('a join token', () => {
  test('is read back as it was written and needs no quoting in a shell', () => {
    const text = encodeJoinToken(token);
    expect(text).toMatch(/^x0join\.[A-Za-z0-9_-]+$/);
    expect(parseJoinToken(text)).toEqual({ ok: true, value: token });
  });

  test('of version 99 is refused by name', () => {
    expect(parseJoinToken(textOf({ v: 99 }))).toEqual({ ok: false, error: 'TOKEN_UNKNOWN_VERSION' });
  });

  test.each<[string, string]>([
    ['empty', ''],
    ['without its prefix', encodeJoinToken(token).slice(1)],
    ['truncated', encodeJoinToken(token).slice(0, -10)],
    ['not base64', `${TOKEN_PREFIX}!!!!`],
    ['too long', TOKEN_PREFIX + 'A'.repeat(5000)],
    ['with a short secret', textOf({ secret: new Uint8Array(31) })],
    ['with a bad name', textOf({ node: 'Oslo' })],
    ['with too many addresses', textOf({ addresses: Array.from({ length: 9 }, () => 'a:1') })],
    ['with a missing field', textOf({ trustDomain: undefined })],
  ])('that is %s is refused as garbled', (_what, text) => {
    expect(parseJoinToken(text)).toEqual({ ok: false, error: 'TOKEN_GARBLED' });
  });

  test('never makes the parser throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (junk) => {
        expect(parseJoinToken(TOKEN_PREFIX + junk.toBase64({ alphabet: 'base64url' })).ok).toBe(false);
      }),
    );
  });
});
