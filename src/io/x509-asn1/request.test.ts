import 'reflect-metadata';
import { Pkcs10CertificateRequest, Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { generateKeyPair } from '#io/x509-asn1/keys.ts';
import { createCsr } from '#io/x509-asn1/request.ts';
import { toSignKey, toVerifyKey } from '#io/x509-peculiar/keys.ts';
import { readCsr } from '#io/x509-peculiar/request.ts';

const SIGNATURE_BYTES = 3309;

test('a request is the one that the other library makes and believes, but for the random signature', async () => {
  const keys = generateKeyPair('ml-dsa-65');
  const made = createCsr(keys);
  const other = await Pkcs10CertificateRequestGenerator.create({
    keys: { publicKey: toVerifyKey(keys.publicKey), privateKey: toSignKey(keys.privateKey) },
    signingAlgorithm: { name: 'ML-DSA-65' },
  });
  const otherDer = new Uint8Array(other.rawData);
  expect(made.slice(0, -SIGNATURE_BYTES)).toEqual(otherDer.slice(0, -SIGNATURE_BYTES));
  const read = await readCsr(made);
  expect(read.ok && read.value.equals(keys.publicKey)).toBe(true);
});

test('a request has no name, no attribute and no extension', () => {
  const request = new Pkcs10CertificateRequest(new Uint8Array(createCsr(generateKeyPair('ml-dsa-65'))));
  expect([request.subject, request.attributes, request.extensions]).toEqual(['', [], []]);
});

test('a request is not made for a classical key', () => {
  expect(() => createCsr(generateKeyPairSync('ec', { namedCurve: 'P-256' }))).toThrow(TypeError);
});
