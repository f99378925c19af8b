import { describe, expect, test } from 'vitest';
import { checkPeerLeaf, CLIENT_AUTH, SERVER_AUTH } from '#trust/leaf.ts';
import type { LeafDemand, LeafFacts } from '#trust/leaf.ts';
import { RevocationSet } from '#trust/revocation.ts';

const good: LeafFacts = {
  uris: ['spiffe://x0tta6bl4.mesh/node/oslo'],
  otherNames: [],
  isCa: false,
  keyUsages: ['digitalSignature'],
  extendedKeyUsages: [SERVER_AUTH, CLIENT_AUTH],
  notBeforeMs: 1_000,
  notAfterMs: 2_000,
  serial: '4a',
  publicKeyAlgorithm: 'ml-dsa-65',
  certificateHash: 'ab',
};
const demand: LeafDemand = { trustDomain: 'x0tta6bl4.mesh', wallMs: 1_500, isRevoked: () => false };

describe('a peer leaf', () => {
  test('that keeps every rule gives the identity', () => {
    expect(checkPeerLeaf(good, demand)).toMatchObject({
      ok: true,
      value: { name: 'oslo', role: 'node', serial: '4a' },
    });
  });

  test.each<[string, Partial<LeafFacts>, Partial<LeafDemand>]>([
    ['CERT_NO_URI_SAN', { uris: [] }, {}],
    ['CERT_TWO_URI_SANS', { uris: ['spiffe://x0tta6bl4.mesh/node/oslo', 'spiffe://x0tta6bl4.mesh/node/rome'] }, {}],
    ['CERT_BAD_URI', { uris: ['https://x0tta6bl4.mesh/node/oslo'] }, {}],
    ['CERT_BAD_PATH', { uris: ['spiffe://x0tta6bl4.mesh/group/oslo'] }, {}],
    ['CERT_IS_CA', { isCa: true }, {}],
    ['CERT_KEY_USAGE', { keyUsages: [] }, {}],
    ['CERT_KEY_USAGE', { keyUsages: ['digitalSignature', 'keyCertSign'] }, {}],
    ['CERT_KEY_USAGE', { keyUsages: ['keyAgreement'] }, {}],
    ['CERT_EXTENDED_KEY_USAGE', { extendedKeyUsages: [] }, {}],
    ['CERT_EXTENDED_KEY_USAGE', { extendedKeyUsages: [CLIENT_AUTH] }, {}],
    ['CERT_EXTENDED_KEY_USAGE', { extendedKeyUsages: [CLIENT_AUTH, SERVER_AUTH, '2.5.29.37.0'] }, {}],
    ['CERT_WRONG_KEY', { publicKeyAlgorithm: 'ec' }, {}],
    ['CERT_WRONG_KEY', { publicKeyAlgorithm: 'undefined' }, {}],
    ['CERT_WRONG_TRUST_DOMAIN', { uris: ['spiffe://elsewhere.mesh/node/oslo'] }, {}],
    ['CERT_WRONG_ID', {}, { expectedSpiffeId: 'spiffe://x0tta6bl4.mesh/node/rome' }],
    ['CERT_WRONG_ROLE', {}, { role: 'control' }],
    ['CERT_NOT_YET_VALID', {}, { wallMs: 999 }],
    ['CERT_EXPIRED', {}, { wallMs: 2_000 }],
    ['CERT_REVOKED', {}, { isRevoked: () => true }],
  ])('is refused with %s', (code, facts, extra) => {
    expect(checkPeerLeaf({ ...good, ...facts }, { ...demand, ...extra })).toEqual({ ok: false, error: code });
  });
});

test('a revocation names one serial of one identity and no other', () => {
  const set = new RevocationSet([{ spiffeId: 'spiffe://x0tta6bl4.mesh/node/oslo', serial: '4a', epoch: 7 }]);
  expect(set.isRevoked({ spiffeId: 'spiffe://x0tta6bl4.mesh/node/oslo', serial: '4a' })).toBe(true);
  expect(set.isRevoked({ spiffeId: 'spiffe://x0tta6bl4.mesh/node/oslo', serial: '4b' })).toBe(false);
  expect(set.isRevoked({ spiffeId: 'spiffe://x0tta6bl4.mesh/node/rome', serial: '4a' })).toBe(false);
  expect([set.epoch, set.size]).toEqual([7, 1]);
});
