import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import {
  controlSpiffeId,
  isNodeName,
  isServiceName,
  isTrustDomain,
  nodeSpiffeId,
  parseSpiffeId,
} from '#trust/identity.ts';

const name = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?$/);

describe('a SPIFFE ID', () => {
  test('of a node is read back as it was made', () => {
    fc.assert(
      fc.property(name, (it) => {
        const parsed = parseSpiffeId(nodeSpiffeId('x0tta6bl4.mesh', it));
        expect(parsed).toMatchObject({ ok: true, value: { name: it, role: 'node', trustDomain: 'x0tta6bl4.mesh' } });
      }),
    );
  });

  test('of a control plane has its own role', () => {
    expect(parseSpiffeId(controlSpiffeId('a.b', 'main'))).toMatchObject({ ok: true, value: { role: 'control' } });
  });

  test.each([
    'spiffe://x0tta6bl4.mesh',
    'spiffe://x0tta6bl4.mesh/',
    'http://x0tta6bl4.mesh/node/a',
    'SPIFFE://x0tta6bl4.mesh/node/a',
    'spiffe://X0.mesh/node/a',
    'spiffe://user@x0.mesh/node/a',
    'spiffe://x0.mesh:443/node/a',
    'spiffe:///node/a',
    'spiffe://a..b/node/a',
    `spiffe://x0.mesh/node/${'a'.repeat(3000)}`,
  ])('is refused as invalid: %s', (uri) => {
    expect(parseSpiffeId(uri)).toEqual({ ok: false, error: 'SPIFFE_ID_INVALID' });
  });

  test.each([
    'spiffe://x0.mesh/node',
    'spiffe://x0.mesh/node/',
    'spiffe://x0.mesh/node/a/b',
    'spiffe://x0.mesh/node/A',
    'spiffe://x0.mesh/node/a%2e',
    'spiffe://x0.mesh/node/a?b',
    'spiffe://x0.mesh/node/a#b',
    'spiffe://x0.mesh/node/../a',
    'spiffe://x0.mesh/group/a',
    'spiffe://x0.mesh//a',
  ])('is refused for its path: %s', (uri) => {
    expect(parseSpiffeId(uri).ok).toBe(false);
  });

  test('never makes the parser throw', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(parseSpiffeId(text)).toHaveProperty('ok');
      }),
    );
  });
});

test.each([isNodeName, isServiceName])('names are DNS labels in lower case: %o', (isName) => {
  expect(['a', 'oslo-1', 'a'.repeat(63)].every((it) => isName(it))).toBe(true);
  expect(['', '-a', 'a-', 'A', 'a_b', 'a.b', 'a\n', 'a'.repeat(64)].some((it) => isName(it))).toBe(false);
});

test('trust domains are host names of bounded length', () => {
  expect(isTrustDomain('x0tta6bl4.mesh')).toBe(true);
  expect(['', '.a', 'a..b', 'A', 'a/b', 'a'.repeat(101)].some((it) => isTrustDomain(it))).toBe(false);
});
