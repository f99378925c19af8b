import 'reflect-metadata';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import { beforeAll, describe, expect, test } from 'vitest';
import { checkPeerLeaf, CLIENT_AUTH, SERVER_AUTH } from '#trust/leaf.ts';
import type { LeafFacts } from '#trust/leaf.ts';
import { signSvid } from '#io/x509-peculiar/authority.ts';
import { toSpiffeBundle } from '#io/x509-peculiar/bundle.ts';
import { generateKeyPair } from '#io/x509-asn1/keys.ts';
import { readLeafFacts } from '#io/x509-asn1/leaf-facts.ts';
import { createCsr } from '#io/x509-asn1/request.ts';
import { signatureAlgorithm, toSignKey, toVerifyKey } from '#io/x509-peculiar/keys.ts';
import { readCsr } from '#io/x509-peculiar/request.ts';
import { createTestCa } from '../../../tests/fixtures/test-ca.ts';
import type { TestCa, TestLeafRequest } from '../../../tests/fixtures/test-ca.ts';

let ca: TestCa;
beforeAll(async () => {
  ca = await createTestCa();
});

function facts(der: Uint8Array): LeafFacts {
  const read = readLeafFacts(der);
  if (!read.ok) throw new Error(read.error);
  return read.value;
}

describe('the certificate authority', () => {
  test('has an ML-DSA-87 root over an ML-DSA-65 issuer, both CA certificates', () => {
    expect(facts(ca.rootDer)).toMatchObject({
      isCa: true,
      publicKeyAlgorithm: 'ml-dsa-87',
      keyUsages: ['keyCertSign', 'cRLSign'],
    });
    expect(facts(ca.issuerDer)).toMatchObject({
      isCa: true,
      publicKeyAlgorithm: 'ml-dsa-65',
      uris: ['spiffe://x0tta6bl4.mesh'],
    });
    const root = new X509Certificate(ca.rootDer);
    expect(new X509Certificate(ca.issuerDer).verify(root.publicKey)).toBe(true);
    expect(root.verify(root.publicKey)).toBe(true);
  });

  test('issues SVIDs that keep the SPIFFE rules', async () => {
    const leaf = await ca.issue({ name: 'oslo' });
    expect(facts(leaf.der)).toMatchObject({
      uris: ['spiffe://x0tta6bl4.mesh/node/oslo'],
      otherNames: [],
      isCa: false,
      keyUsages: ['digitalSignature'],
      extendedKeyUsages: [SERVER_AUTH, CLIENT_AUTH],
      publicKeyAlgorithm: 'ml-dsa-65',
      serial: leaf.serial,
      certificateHash: leaf.hash,
    });
    expect(leaf.serial).toMatch(/^[4-7][0-9a-f]{31}$/);
    expect(new X509Certificate(leaf.der).checkIssued(new X509Certificate(ca.issuerDer))).toBe(true);
  });

  test('backdates by 15 minutes and refuses lives outside 5 minutes to 7 days', async () => {
    const wallMs = Date.UTC(2026, 10, 22);
    const request = {
      issuer: ca.issuer,
      spiffeId: 'spiffe://x0tta6bl4.mesh/node/oslo',
      name: 'oslo',
      publicKey: generateKeyPair('ml-dsa-65').publicKey,
    };
    const svid = await signSvid({ ...request, wallMs, lifeMs: 3_600_000 });
    expect(svid.notBeforeMs).toBe(wallMs - 900_000);
    expect(svid.notAfterMs).toBe(wallMs + 3_600_000);
    await expect(signSvid({ ...request, wallMs, lifeMs: 1_000 })).rejects.toThrow(RangeError);
    await expect(signSvid({ ...request, wallMs, lifeMs: 8 * 86_400_000 })).rejects.toThrow(RangeError);
  });

  test.each<[string, Omit<TestLeafRequest, 'name'>]>([
    ['CERT_EXPIRED', { expired: true }],
    ['CERT_NOT_YET_VALID', { notYetValid: true }],
    ['CERT_TWO_URI_SANS', { twoSans: true }],
    ['CERT_NO_URI_SAN', { noSan: true }],
    ['CERT_WRONG_TRUST_DOMAIN', { wrongDomain: true }],
    ['CERT_BAD_PATH', { badPath: true }],
    ['CERT_IS_CA', { caLeaf: true }],
    ['CERT_WRONG_KEY', { classical: true }],
    ['CERT_KEY_USAGE', { wrongKeyUsage: true }],
    ['CERT_EXTENDED_KEY_USAGE', { clientOnly: true }],
    ['CERT_EXTENDED_KEY_USAGE', { noExtendedKeyUsage: true }],
  ])('makes bad leaves for tests that are refused with %s', async (code, bad) => {
    const leaf = await ca.issue({ name: 'oslo', ...bad });
    const checked = checkPeerLeaf(facts(leaf.der), {
      trustDomain: ca.trustDomain,
      wallMs: Date.now(),
      isRevoked: () => false,
    });
    expect(checked).toEqual({ ok: false, error: code });
  });
});

describe('a certificate request', () => {
  test('proves possession of an ML-DSA-65 key', async () => {
    const keys = generateKeyPair('ml-dsa-65');
    const read = await readCsr(createCsr(keys));
    expect(read.ok && read.value.equals(keys.publicKey)).toBe(true);
  });

  test('for the key of another is refused', async () => {
    const csr = createCsr(generateKeyPair('ml-dsa-65'));
    const victim = createCsr(generateKeyPair('ml-dsa-65'));
    const mixed = victim.slice();
    mixed.set(csr.slice(-3000), mixed.length - 3000);
    expect(await readCsr(mixed)).toEqual({ ok: false, error: 'CSR_NO_PROOF' });
  });

  test('for a classical key is refused', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const csr = await Pkcs10CertificateRequestGenerator.create({
      keys: { publicKey: toVerifyKey(publicKey), privateKey: toSignKey(privateKey) },
      signingAlgorithm: signatureAlgorithm(privateKey),
    });
    expect(await readCsr(new Uint8Array(csr.rawData))).toEqual({ ok: false, error: 'CSR_WRONG_KEY' });
  });

  test('of junk is unreadable', async () => {
    expect(await readCsr(Uint8Array.of(1, 2, 3))).toEqual({ ok: false, error: 'CSR_UNREADABLE' });
    expect(await readCsr(new Uint8Array(20_000))).toEqual({ ok: false, error: 'CSR_UNREADABLE' });
  });
});

test('junk is no leaf', () => {
  expect(readLeafFacts(Uint8Array.of(0x30, 0x80))).toEqual({ ok: false, error: 'CERT_UNREADABLE' });
  expect(readLeafFacts(new Uint8Array(70_000))).toEqual({ ok: false, error: 'CERT_UNREADABLE' });
});

test('the bundle lists roots as x509-svid keys with one certificate each', () => {
  const bundle = toSpiffeBundle([ca.rootDer], 3);
  expect(bundle.spiffe_sequence).toBe(3);
  expect(bundle.keys).toHaveLength(1);
  expect(bundle.keys[0]).toMatchObject({
    kty: 'AKP',
    alg: 'ML-DSA-87',
    use: 'x509-svid',
    x5c: [ca.rootDer.toBase64()],
  });
});
